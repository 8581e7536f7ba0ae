import {
  type CredentialBasic,
  decodeMlsMessage,
  encodeMlsMessage,
  type LeafNodeUpdate,
  type MlsPublicMessage,
  type Proposal,
  type Sender,
} from 'ts-mls'
import { encodeProposal } from 'ts-mls/proposal.js'
import { beforeAll, describe, expect, it } from 'vitest'
import { readMessageHeader } from './message-header.ts'
import { createTestClient } from './test-key-packages.ts'
import { createTestConversation, type TestConversation } from './test-messages.ts'
import { join } from './test-random.ts'
import { headerByTsMls } from './test-ts-mls-header.ts'

let conversation: TestConversation
beforeAll(async () => {
  conversation = await createTestConversation()
})

const message = (name: string) => conversation.messages.find((one) => one.name === name)!.bytes

describe('readMessageHeader of real messages', () => {
  it('reads every one as ts-mls does', () => {
    expect(conversation.messages.length).toBeGreaterThan(15)
    for (const { name, bytes } of conversation.messages) {
      const header = readMessageHeader(bytes)
      expect(header, name).toEqual(headerByTsMls(bytes))
      expect(header?.groupId.buffer, 'a view').toBe(bytes.buffer)
    }
  })

  it('reads those of the suites with NIST curves', async () => {
    const other = await createTestConversation('MLS_128_DHKEMP256_AES128GCM_SHA256_P256')
    for (const { name, bytes } of other.messages)
      expect(readMessageHeader(bytes), name).toEqual(headerByTsMls(bytes))
  })

  it('refuses them truncated at any length and with trailing bytes', () => {
    for (const { name, bytes } of conversation.messages) {
      const step = bytes.length > 5000 ? 7 : 1
      for (let length = 0; length < bytes.length; length += step)
        expect(readMessageHeader(bytes.subarray(0, length)), `${name} ${length}`).toBeNull()
      expect(readMessageHeader(join(bytes, Uint8Array.of(0))), name).toBeNull()
      expect(readMessageHeader(join(bytes, bytes)), name).toBeNull()
    }
  })

  it('refuses a group id whose length is not in its shortest form', () => {
    for (const { name, bytes } of conversation.messages) {
      expect(bytes[4], name).toBe(16)
      const longer = join(bytes.subarray(0, 4), Uint8Array.of(0x40, 16), bytes.subarray(5))
      expect(readMessageHeader(longer), name).toBeNull()
      // ts-mls takes both forms, so the same message would exist under many hashes.
      expect(headerByTsMls(longer), name).toEqual(headerByTsMls(bytes))
    }
  })

  it('refuses a Welcome, another version and other wire formats', () => {
    expect(readMessageHeader(conversation.welcome)).toBeNull()
    const bytes = message('private empty commit')
    for (const start of [
      [0, 0, 0, 2],
      [0, 2, 0, 2],
      [0, 1, 0, 0],
      [0, 1, 0, 4],
      [0, 1, 1, 2],
    ])
      expect(readMessageHeader(join(Uint8Array.from(start), bytes.subarray(4)))).toBeNull()
  })

  it('reads epochs up to 2^53 - 1 and refuses greater ones', () => {
    const bytes = message('private empty commit').slice()
    const epoch = new DataView(bytes.buffer, 21, 8)
    epoch.setBigUint64(0, BigInt(Number.MAX_SAFE_INTEGER))
    expect(readMessageHeader(bytes)?.epoch).toBe(Number.MAX_SAFE_INTEGER)
    epoch.setBigUint64(0, BigInt(Number.MAX_SAFE_INTEGER) + 1n)
    expect(readMessageHeader(bytes)).toBeNull()
    epoch.setBigUint64(0, 2n ** 64n - 1n)
    expect(readMessageHeader(bytes)).toBeNull()
  })

  it('refuses content types outside 1 to 3', () => {
    const bytes = message('private empty commit')
    for (const contentType of [0, 4, 255])
      expect(readMessageHeader(changed(bytes, 29, contentType))).toBeNull()
  })
})

describe('readMessageHeader of crafted public messages', () => {
  let base: MlsPublicMessage
  let proposals: Proposal[]
  beforeAll(async () => {
    base = decodePublic(message('public commit with a pre-shared key'))
    proposals = await everyProposal()
  })

  it('reads a commit of every proposal type of RFC 9420 section 12.1', () => {
    for (const proposal of proposals) expectRead(withProposals([proposal]))
    expectRead(withProposals(proposals))
    expect(new Set(proposals.map((one) => one.proposalType)).size).toBe(7)
  })

  it('reads every sender type', () => {
    const senders: Sender[] = [
      { senderType: 'member', leafIndex: 2 ** 32 - 1 },
      { senderType: 'external', senderIndex: 3 },
      { senderType: 'new_member_proposal' },
      { senderType: 'new_member_commit' },
    ]
    for (const sender of senders) {
      const bytes = withSender(sender)
      expect(readMessageHeader(bytes)?.senderType).toBe(sender.senderType)
      expectRead(bytes)
    }
  })

  it('refuses a sender type outside 1 to 4', () => {
    const bytes = withSender({ senderType: 'new_member_commit' })
    expect(bytes[29]).toBe(4)
    for (const senderType of [0, 5]) expect(readMessageHeader(changed(bytes, 29, senderType))).toBeNull()
  })

  it('refuses an unknown proposal type', () => {
    // The data reads as a proposal by reference to who does not stop at the type.
    const bytes = withProposals([{ proposalType: 0x0a0a, proposalData: Uint8Array.of(1, 9) }])
    expect(readMessageHeader(bytes)).toBeNull()
    expect(headerByTsMls(bytes)).not.toBeNull()
  })

  it('refuses to add a key package of another protocol version', () => {
    const bytes = withProposals(proposals.slice(0, 1))
    const at = Buffer.from(bytes).indexOf(encodeProposal(proposals[0]!)) + 3
    expect(readMessageHeader(changed(bytes, at, 1))).not.toBeNull()
    expect(readMessageHeader(changed(bytes, at, 2))).toBeNull()
  })

  it('refuses a pre-shared key of another type or usage', () => {
    const proposal = proposals.find(isResumption)!
    const bytes = withProposals([proposal])
    const at = Buffer.from(bytes).indexOf(encodeProposal(proposal)) + 2
    for (const type of [0, 3]) expect(readMessageHeader(changed(bytes, at, type))).toBeNull()
    for (const usage of [1, 2, 3]) expect(readMessageHeader(changed(bytes, at + 1, usage))).not.toBeNull()
    for (const usage of [0, 4]) expect(readMessageHeader(changed(bytes, at + 1, usage))).toBeNull()
  })

  it('refuses application data in the open', () => {
    // Chosen to read as a remove proposal to who does not stop at the content type.
    const applicationData = new Uint8Array(0)
    const content = { ...base.publicMessage.content, contentType: 'application', applicationData }
    const auth = { contentType: 'application', signature: new Uint8Array(3) }
    const message = { ...base.publicMessage, content, auth, membershipTag: new Uint8Array(2) }
    const bytes = encodePublic(message as MlsPublicMessage['publicMessage'])
    expect(headerByTsMls(bytes)?.contentType).toBe('application')
    expect(readMessageHeader(bytes)).toBeNull()
    expect(readMessageHeader(changed(bytes, bytes.length - 9, 2))?.contentType).toBe('proposal')
  })

  it('refuses a presence byte that is neither 0 nor 1', () => {
    const bytes = withProposals([], { withPath: false })
    const at = bytes.length - 1 - presenceFromEnd()
    expect(bytes[at]).toBe(0)
    const other = changed(bytes, at, 2)
    expect(readMessageHeader(bytes)).not.toBeNull()
    expect(readMessageHeader(other)).toBeNull()
    expect(headerByTsMls(other)).not.toBeNull()
  })

  it('refuses a leaf node of a source that does not belong there', () => {
    const update = proposals.find((one) => one.proposalType === 'update')!
    const bytes = withProposals([update])
    const at = Buffer.from(bytes).indexOf(LEAF_MARK) + LEAF_MARK.length + capabilitiesLength
    expect(bytes[at]).toBe(2)
    expect(readMessageHeader(changed(bytes, at, 3))).toBeNull()
  })

  const LEAF_MARK = Buffer.from('identity of the update')
  const capabilitiesLength = 5 // five empty lists

  async function everyProposal(): Promise<Proposal[]> {
    const { keyPackage } = await createTestClient()
    const extensions = [
      { extensionType: 'application_id' as const, extensionData: new Uint8Array(70) },
      { extensionType: 0xf00d, extensionData: new Uint8Array(0) },
    ]
    const bytes = new Uint8Array(40).fill(3)
    const leafNode: LeafNodeUpdate = {
      leafNodeSource: 'update',
      hpkePublicKey: bytes,
      signaturePublicKey: bytes,
      credential: { credentialType: 'basic', identity: new Uint8Array(LEAF_MARK) } satisfies CredentialBasic,
      capabilities: { versions: [], ciphersuites: [], extensions: [], proposals: [], credentials: [] },
      extensions,
      signature: bytes,
    }
    const resumption = {
      psktype: 'resumption',
      usage: 'branch',
      pskGroupId: bytes,
      pskEpoch: 2n ** 60n,
    } as const
    const x509 = { credentialType: 'x509' as const, certificates: [bytes, new Uint8Array(300)] }
    return [
      { proposalType: 'add', add: { keyPackage } },
      { proposalType: 'add', add: { keyPackage: (await createTestClient({ credential: x509 })).keyPackage } },
      { proposalType: 'update', update: { leafNode } },
      { proposalType: 'remove', remove: { removed: 9 } },
      {
        proposalType: 'psk',
        psk: { preSharedKeyId: { psktype: 'external', pskId: bytes, pskNonce: bytes } },
      },
      { proposalType: 'psk', psk: { preSharedKeyId: { ...resumption, pskNonce: bytes } } },
      {
        proposalType: 'reinit',
        reinit: { groupId: bytes, version: 'mls10', cipherSuite: keyPackage.cipherSuite, extensions },
      },
      { proposalType: 'external_init', externalInit: { kemOutput: bytes } },
      { proposalType: 'group_context_extensions', groupContextExtensions: { extensions } },
    ]
  }

  function withProposals(list: Proposal[], { withPath = true } = {}): Uint8Array {
    const { publicMessage } = base
    if (publicMessage.content.contentType !== 'commit') throw new Error('expected a commit')
    const commit = {
      proposals: list.map((proposal) => ({ proposalOrRefType: 'proposal' as const, proposal })),
      path: withPath ? publicMessage.content.commit.path : undefined,
    }
    const content = { ...publicMessage.content, commit }
    return encodePublic({ ...publicMessage, content } as MlsPublicMessage['publicMessage'])
  }

  function withSender(sender: Sender): Uint8Array {
    const content = { ...base.publicMessage.content, sender }
    const resent = { ...base.publicMessage, content, senderType: sender.senderType }
    return encodePublic(resent as MlsPublicMessage['publicMessage'])
  }

  /** After the presence byte follow signature, confirmation_tag and membership_tag, each a vector. */
  function presenceFromEnd(): number {
    const { publicMessage } = base
    if (publicMessage.auth.contentType !== 'commit' || publicMessage.senderType !== 'member')
      throw new Error('expected a commit of a member')
    const vectors = [
      publicMessage.auth.signature,
      publicMessage.auth.confirmationTag,
      publicMessage.membershipTag,
    ]
    return vectors.reduce((sum, one) => sum + one.length + (one.length < 64 ? 1 : 2), 0)
  }

  function expectRead(bytes: Uint8Array): void {
    const expected = headerByTsMls(bytes)
    expect(expected).not.toBeNull()
    expect(readMessageHeader(bytes)).toEqual(expected)
    for (let length = 0; length < bytes.length; length++)
      if (readMessageHeader(bytes.subarray(0, length)) !== null) expect.fail(`accepted ${length} bytes`)
    expect(readMessageHeader(join(bytes, Uint8Array.of(0)))).toBeNull()
  }
})

function isResumption(proposal: Proposal): boolean {
  return proposal.proposalType === 'psk' && proposal.psk.preSharedKeyId.psktype === 'resumption'
}

function changed(bytes: Uint8Array, at: number, byte: number): Uint8Array {
  const copy = bytes.slice()
  copy[at] = byte
  return copy
}

function decodePublic(bytes: Uint8Array): MlsPublicMessage {
  const decoded = decodeMlsMessage(bytes, 0)?.[0]
  if (decoded?.wireformat !== 'mls_public_message') throw new Error('expected a PublicMessage')
  return decoded
}

function encodePublic(publicMessage: MlsPublicMessage['publicMessage']): Uint8Array {
  return encodeMlsMessage({ version: 'mls10', wireformat: 'mls_public_message', publicMessage })
}
