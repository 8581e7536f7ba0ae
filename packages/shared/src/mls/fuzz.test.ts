import { encodeMlsMessage } from 'ts-mls'
import { decodeKeyPackage } from 'ts-mls/keyPackage.js'
import { protocolVersions } from 'ts-mls/protocolVersion.js'
import { decodeWelcome } from 'ts-mls/welcome.js'
import { beforeAll, expect, it } from 'vitest'
import { decodeBase64, hex } from '../bytes.ts'
import { readApplicationMessage } from './application-message.ts'
import { readKeyPackage } from './key-package.ts'
import { readMessageHeader } from './message-header.ts'
import { createTestClient, NOW_SECONDS, SUITE_1 } from './test-key-packages.ts'
import { createTestConversation, type TestConversation } from './test-messages.ts'
import { mutate, type Random, seededRandom } from './test-random.ts'
import { headerByTsMls } from './test-ts-mls-header.ts'
import { verifyKeyPackage } from './verify-key-package.ts'
import { readWelcome } from './welcome.ts'

const SEED = 9420
let conversation: TestConversation
let messages: Uint8Array[]
beforeAll(async () => {
  conversation = await createTestConversation()
  messages = conversation.messages.map((one) => one.bytes).filter((bytes) => bytes.length < 5000)
})

const pick = <T>(list: T[], random: Random): T => list[random.below(list.length)]!

it('accepts no mutated message that ts-mls reads otherwise', () => {
  const random = seededRandom(SEED)
  let accepted = 0
  for (let round = 0; round < 20_000; round++) {
    const bytes = mutate(pick(messages, random), pick(messages, random), random)
    const header = readMessageHeader(bytes)
    if (!header) continue
    accepted++
    const read = headerByTsMls(bytes) ?? withUnknownVersions(bytes, () => headerByTsMls(bytes))
    expect(read, hex(bytes)).toEqual(header)
  }
  // Most of a message is opaque: a test that accepted little would compare little.
  expect(accepted).toBeGreaterThan(4000)
})

/**
 * The one thing that is valid by RFC 9420 and that ts-mls refuses: a protocol version that it does not know in
 * the capabilities of a leaf node (section 7.2, any list of versions) or in a ReInit (section 12.1.5, the
 * version to change to). Told of the version, ts-mls must read the same. The message does not say where it
 * stands, so ts-mls is told of every 16-bit value in it.
 */
function withUnknownVersions<T>(bytes: Uint8Array, decode: () => T): T {
  const known: Record<string, number> = protocolVersions
  for (let at = 0; at + 1 < bytes.length; at++) {
    const version = (bytes[at]! << 8) | bytes[at + 1]!
    if (version !== 1) known[`version ${version}`] = version
  }
  try {
    return decode()
  } finally {
    for (const name of Object.keys(known)) if (name !== 'mls10') delete known[name]
  }
}

it('never throws on mutated application messages in their envelope', () => {
  const random = seededRandom(SEED + 1)
  const enveloped = messages.map((bytes) =>
    Buffer.concat([Buffer.from([0, 0, bytes.length >> 8, bytes.length]), bytes, Buffer.alloc(99)]),
  )
  for (let round = 0; round < 10_000; round++) {
    const bytes = mutate(pick(enveloped, random), pick(messages, random), random)
    const header = readApplicationMessage(bytes)
    if (header) expect(header.contentType).toBe('application')
  }
})

it('accepts no mutated Welcome that ts-mls reads otherwise', () => {
  const random = seededRandom(SEED + 2)
  const bare = conversation.welcome.subarray(4)
  let accepted = 0
  for (let round = 0; round < 10_000; round++) {
    const bytes = mutate(pick([bare, conversation.welcome], random), pick(messages, random), random)
    const welcome = readWelcome(bytes)
    if (!welcome) continue
    accepted++
    const decoded = [0, 4].map((offset) => attempt(() => decodeWelcome(bytes.subarray(offset), 0)))
    const exact = decoded.find((one, index) => one && one[1] === bytes.length - index * 4)
    expect(exact?.[0].secrets.map((secret) => secret.newMember)).toEqual(welcome.newMembers)
  }
  expect(accepted).toBeGreaterThan(2000)
})

it('accepts no mutated key package that ts-mls reads otherwise, and verifies none', async () => {
  const random = seededRandom(SEED + 3)
  const { bytes: bare, keyPackage } = await createTestClient()
  const wrapped = encodeMlsMessage({ version: 'mls10', wireformat: 'mls_key_package', keyPackage })
  const originals = [bare, wrapped]
  let accepted = 0
  for (let round = 0; round < 5_000; round++) {
    const bytes = mutate(pick(originals, random), pick(messages, random), random)
    const fields = readKeyPackage(bytes)
    if (!fields || originals.some((one) => Buffer.compare(one, fields.raw) === 0)) continue
    accepted++
    const decode = () => attempt(() => decodeKeyPackage(fields.raw, 0))
    const read = decode() ?? withUnknownVersions(bytes, decode)
    expect(read && [read[1], read[0].initKey], hex(bytes)).toEqual([fields.raw.length, fields.initKey])
    const claim = { suite: SUITE_1, did: 'did:plc:alice', nowSeconds: NOW_SECONDS }
    expect((await verifyKeyPackage(bytes, claim)).ok, hex(bytes)).toBe(false)
  }
  expect(accepted).toBeGreaterThan(500)
})

it('never throws on noise', () => {
  const random = seededRandom(SEED + 4)
  for (let round = 0; round < 20_000; round++) {
    const bytes = Uint8Array.from({ length: random.below(60) }, () => random.below(256))
    if (random.below(2) === 0) bytes.set([0, 1, 0, 1 + random.below(5)].slice(0, bytes.length))
    for (const read of [readMessageHeader, readApplicationMessage, readWelcome, readKeyPackage]) read(bytes)
    decodeBase64(Buffer.from(bytes).toString('latin1'))
  }
})

function attempt<T>(decode: () => T | undefined): T | undefined {
  try {
    return decode()
  } catch {
    return undefined
  }
}
