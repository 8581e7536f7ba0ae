import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { TestClient } from '../support/client.ts'
import { commitFor, createConvo, messageFor, newGroupId, SUITE } from '../support/convo.ts'
import { bytesOf } from '../support/log-chain.ts'
import { newDevice, welcomeFor } from '../support/real-group.ts'
import { MODES } from '../support/server.ts'
import { openReader } from '../support/streams/stream-reader.ts'
import { useServer } from '../support/use-server.ts'

/** The byte forms that clients send: four of base64, each in `$bytes` and as a plain string. */
const FORMS: { name: string; encode(bytes: Uint8Array): unknown }[] = [
  { name: 'standard, padded', text: (one: Buffer) => one.toString('base64') },
  { name: 'standard, bare', text: (one: Buffer) => one.toString('base64').replace(/=+$/, '') },
  {
    name: 'URL-safe, padded',
    text: (one: Buffer) => one.toString('base64').replaceAll('+', '-').replaceAll('/', '_'),
  },
  { name: 'URL-safe, bare', text: (one: Buffer) => one.toString('base64url') },
].flatMap(({ name, text }) => [
  { name: `${name}, in $bytes`, encode: (bytes: Uint8Array) => ({ $bytes: text(Buffer.from(bytes)) }) },
  { name: `${name}, plain`, encode: (bytes: Uint8Array) => text(Buffer.from(bytes)) },
])

/** Standard alphabet with padding and nothing else (RFC 4648 section 4); throws for any other form. */
function decodeStrictly(text: string): Buffer {
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)) {
    throw new Error(`not the standard form: ${text.slice(0, 40)}`)
  }
  const bytes = Buffer.from(text, 'base64')
  if (bytes.toString('base64') !== text) throw new Error('bits after the last byte')
  return bytes
}

/** Makes until the base64 has characters of which the alphabets differ, and needs padding. */
async function telling<T>(make: () => T | Promise<T>, bytesIn: (made: T) => Uint8Array): Promise<T> {
  for (;;) {
    const made = await make()
    const text = Buffer.from(bytesIn(made)).toString('base64')
    if (text.includes('+') && text.includes('/')) return made
  }
}

const sized = async (make: (size: number) => { $bytes: string }, size: number) =>
  bytesOf(await telling(() => make(size), bytesOf))

describe('bytes', () => {
  const { people, server } = useServer(MODES[0].env)
  const openStreams = async (client: TestClient) => {
    const options = { url: server().url, token: await client.token() }
    const readers = await Promise.all([openReader('sse', options), openReader('socket', options)])
    for (const reader of readers) onTestFinished(() => reader.close())
    return readers
  }

  it.each(FORMS)('as $name are taken in every field and come back in the one form', async ({ encode }) => {
    const [alice, bob] = people('alice', 'bob')
    const device = await telling(
      () => newDevice(bob.did),
      ({ bytes }) => bytes,
    )
    const welcome = await telling(
      () => welcomeFor(device),
      (bytes) => bytes,
    )
    const cipherSuite = SUITE
    await bob.ok('publishKeyPackage', { keyPackage: encode(device.bytes), cipherSuite })
    const { keyPackages } = await alice.ok('getKeyPackages', { dids: [bob.did] })
    expect(decodeStrictly(keyPackages[0]!.keyPackage).equals(device.bytes)).toBe(true)
    const input = { initialMembers: [bob.did], welcomeMessage: encode(welcome), epoch: 0 }
    const convoId = await createConvo(alice, input)
    const welcomeOf = async () => decodeStrictly((await bob.ok('getWelcome', { convoId })).welcome)
    expect((await welcomeOf()).equals(welcome)).toBe(true)

    const streams = await openStreams(alice)
    const sent: Buffer[] = []
    for (const [epoch, size] of [201, 202, 203].entries()) {
      const ciphertext = await sized((one) => messageFor(convoId, epoch, one), size)
      await alice.ok('sendMessage', { convoId, epoch, ciphertext: encode(ciphertext) })
      const commit = await sized((one) => commitFor(convoId, epoch, one), size)
      const change =
        epoch === 2
          ? alice.ok('leaveConvo', { convoId, targetDid: bob.did, commit: encode(commit) })
          : alice.ok('addMembers', {
              convoId,
              didList: [bob.did],
              commit: encode(commit),
              welcomeMessage: encode(welcome),
            })
      expect((await change).newEpoch).toBe(epoch + 1)
      sent.push(ciphertext, commit)
    }
    const { messages } = await alice.ok('getMessages', { convoId, sinceSeq: 0 })
    const { commits } = await alice.ok('getCommits', { convoId, fromEpoch: 0 })
    const read = messages.map(({ ciphertext }) => decodeStrictly(ciphertext.$bytes))
    expect(read.map((one, i) => one.equals(sent[i]!))).toEqual(sent.map(() => true))
    const readCommits = commits.map(({ commitData }) => decodeStrictly(commitData.$bytes))
    expect(readCommits.map((one, i) => one.equals(sent[2 * i + 1]!))).toEqual([true, true, true])
    const whisper = await sized((one) => messageFor(convoId, 3, one), 204)
    await alice.ok('sendEphemeral', { convoId, epoch: 3, ciphertext: encode(whisper) })
    for (const stream of streams) {
      await stream.next(({ type }) => type === 'ephemeralEvent')
      const streamed = stream.events.flatMap((event) => {
        if (event.type === 'ephemeralEvent') return event.ciphertext.$bytes
        return event.type === 'messageEvent' ? event.message.ciphertext.$bytes : []
      })
      expect(streamed.map((text, i) => decodeStrictly(text).equals([...sent, whisper][i]!))).toEqual(
        [...sent, whisper].map(() => true),
      )
    }
  })
  const BAD = [
    'A',
    'AAAAA',
    'AAA*',
    'AA=A',
    'AAAA=',
    'AA==AA==',
    'A A A',
    'AAA\n',
    '+_AA',
    'AB==',
    { $bytes: 7 },
    { bytes: 'AAAA' },
    7,
    [65],
    null,
  ]

  it('in any other form are refused with 400 by name', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    const fields: [Parameters<TestClient['call']>[0], string, object][] = [
      ['sendMessage', 'ciphertext', { convoId, epoch: 0 }],
      ['sendEphemeral', 'ciphertext', { convoId, epoch: 0 }],
      ['addMembers', 'commit', { convoId, didList: [] }],
      ['addMembers', 'welcomeMessage', { convoId, didList: [], commit: commitFor(convoId, 0) }],
      ['leaveConvo', 'commit', { convoId, targetDid: alice.did }],
      ['createConvo', 'welcomeMessage', { groupId: newGroupId(), cipherSuite: SUITE }],
      ['publishKeyPackage', 'keyPackage', { cipherSuite: SUITE }],
    ]
    for (const [name, field, input] of fields) {
      for (const bad of BAD) {
        const { status, body } = await alice.call(name, { ...input, [field]: bad })
        expect(status, `${name} ${field} ${JSON.stringify(bad)} ${body.message}`).toBe(400)
      }
    }
    expect((await alice.ok('getEpoch', { convoId })).currentEpoch).toBe(0)
  })

  it('go out in the fields that the lexicons name, all of which the tests above decode', () => {
    const folder = join(import.meta.dirname, '../../packages/shared/lexicons/blue/catbird/mls')
    const files = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8'))
    const outputs = files.map((text) => JSON.parse(text).defs).flatMap(outputFields)
    // A member's credential is not known to the server and never sent.
    expect(new Set(outputs)).toEqual(
      new Set(['ciphertext', 'commitData', 'credential', 'welcome', 'keyPackage']),
    )
  })
})

type Schema = { type: string; properties?: Record<string, Schema>; description?: string }
type Defs = Record<string, Schema & { output?: { schema: Schema } }>

/** Names of the fields of answers, and of the objects in them, that are bytes or base64 text. */
function outputFields({ main, ...objects }: Defs): string[] {
  const schemas = [main?.output?.schema, ...Object.values(objects)]
  return schemas.flatMap((schema) =>
    Object.entries(schema?.properties ?? {})
      .filter(([, field]) => field.type === 'bytes' || /base64/.test(field.description ?? ''))
      .map(([name]) => name),
  )
}

it('the strict decoder refuses every other form', () => {
  expect(decodeStrictly('AAE=')).toEqual(Buffer.from([0, 1]))
  for (const bad of ['AA', 'AAA', 'AB==', 'A-==', 'AA==AA==', ' AAAA', 'AAAA\n']) {
    expect(() => decodeStrictly(bad), bad).toThrow()
  }
})
