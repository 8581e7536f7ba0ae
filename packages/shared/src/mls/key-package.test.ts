import { type Credential, defaultLifetime, encodeMlsMessage } from 'ts-mls'
import { encodeKeyPackage } from 'ts-mls/keyPackage.js'
import { encodeLeafNode } from 'ts-mls/leafNode.js'
import { beforeAll, expect, it } from 'vitest'
import { CIPHER_SUITES, type CipherSuiteName } from './cipher-suites.ts'
import { readKeyPackage } from './key-package.ts'
import { createTestClient, NOW_SECONDS, type TestClient } from './test-key-packages.ts'
import { createTestConversation } from './test-messages.ts'
import { join } from './test-random.ts'

const LAST_RESORT_EXTENSION = { extensionType: 0x000a, extensionData: new Uint8Array(0) }

let client: TestClient
let wrapped: Uint8Array
beforeAll(async () => {
  client = await createTestClient({
    extensions: [{ extensionType: 0xbeef, extensionData: new Uint8Array(90) }],
  })
  const { keyPackage } = client
  wrapped = encodeMlsMessage({ version: 'mls10', wireformat: 'mls_key_package', keyPackage })
})

it('reads what ts-mls wrote, bare and wrapped', () => {
  const { keyPackage } = client
  for (const bytes of [client.bytes, wrapped]) {
    expect(readKeyPackage(bytes)).toMatchObject({
      version: 1,
      cipherSuite: 1,
      initKey: keyPackage.initKey,
      encryptionKey: keyPackage.leafNode.hpkePublicKey,
      signatureKey: keyPackage.leafNode.signaturePublicKey,
      credentialType: 1,
      identity: new TextEncoder().encode('did:plc:alice'),
      notBefore: NOW_SECONDS - 3600,
      notAfter: NOW_SECONDS + 86_400,
      extensions: [0xbeef],
      isLastResort: false,
      raw: client.bytes,
      signature: keyPackage.signature,
      leafNodeSignature: keyPackage.leafNode.signature,
    })
    expect(readKeyPackage(bytes)?.raw.buffer).toBe(bytes.buffer)
  }
})

it.each(Object.keys(CIPHER_SUITES) as CipherSuiteName[])('reads packages of %s', async (suite) => {
  const { bytes } = await createTestClient({ suite })
  expect(readKeyPackage(bytes)).toMatchObject({ cipherSuite: CIPHER_SUITES[suite], raw: bytes })
  const inMessage = join(Uint8Array.of(0, 1, 0, 5), bytes)
  expect(readKeyPackage(inMessage)).toMatchObject({ cipherSuite: CIPHER_SUITES[suite], raw: bytes })
})

it('sees last_resort among the extensions', async () => {
  const { bytes } = await createTestClient({ extensions: [LAST_RESORT_EXTENSION] })
  expect(readKeyPackage(bytes)).toMatchObject({ isLastResort: true, extensions: [10] })
})

it('reads a lifetime beyond 2^53 - 1 as without end', async () => {
  const { bytes } = await createTestClient({ lifetime: defaultLifetime })
  expect(readKeyPackage(bytes)).toMatchObject({ notBefore: 0, notAfter: Number.MAX_SAFE_INTEGER })
})

it('reads an X.509 credential without an identity', async () => {
  const credential = {
    credentialType: 'x509' as const,
    certificates: [new Uint8Array(400), new Uint8Array(3)],
  }
  const { bytes } = await createTestClient({ credential })
  expect(readKeyPackage(bytes)).toMatchObject({ credentialType: 2, identity: null, raw: bytes })
})

it('refuses a credential type whose form it does not know', async () => {
  // ts-mls writes such a credential and cannot read it, nor do its types have it.
  const unknown: unknown = { credentialType: '61440', data: new Uint8Array(9) }
  const credential = unknown as Credential
  const { bytes } = await createTestClient({ credential })
  expect(readKeyPackage(bytes)).toBeNull()
})

it('refuses a leaf node that is not one of a key package', () => {
  const { keyPackage } = client
  const leafNode = encodeLeafNode(keyPackage.leafNode)
  const { lifetime: _, ...rest } = keyPackage.leafNode
  const update = encodeLeafNode({ ...rest, leafNodeSource: 'update' })
  const [before, after] = Buffer.from(client.bytes)
    .toString('latin1')
    .split(Buffer.from(leafNode).toString('latin1'))
  const withUpdate = Buffer.concat([Buffer.from(before!, 'latin1'), update, Buffer.from(after!, 'latin1')])
  expect(readKeyPackage(withUpdate)).toBeNull()
})

it('refuses truncated ones, trailing bytes and other objects', async () => {
  for (const bytes of [client.bytes, wrapped]) {
    for (let length = 0; length < bytes.length; length++)
      expect(readKeyPackage(bytes.subarray(0, length))).toBeNull()
    expect(readKeyPackage(join(bytes, new Uint8Array(1)))).toBeNull()
  }
  const conversation = await createTestConversation()
  for (const { name, bytes } of conversation.messages) expect(readKeyPackage(bytes), name).toBeNull()
  expect(readKeyPackage(conversation.welcome)).toBeNull()
  expect(readKeyPackage(join(Uint8Array.of(0, 1, 0, 3), encodeKeyPackage(client.keyPackage)))).toBeNull()
})
