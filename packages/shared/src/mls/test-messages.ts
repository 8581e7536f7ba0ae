import {
  acceptAll,
  type CiphersuiteImpl,
  type ClientState,
  createApplicationMessage,
  createCommit,
  createGroup,
  createGroupInfoWithExternalPubAndRatchetTree,
  createProposal,
  decodeMlsMessage,
  defaultLifetime,
  emptyPskIndex,
  encodeMlsMessage,
  joinGroup,
  joinGroupExternal,
  type MLSMessage,
  makePskIndex,
  type Proposal,
  processMessage,
  proposeAddExternal,
} from 'ts-mls'
import type { CipherSuiteName } from './cipher-suites.ts'
import { createTestClient, SUITE_1, type TestClient, testSuite } from './test-key-packages.ts'

export type NamedBytes = { name: string; bytes: Uint8Array }

export type TestConversation = {
  groupId: Uint8Array
  /** PublicMessages and PrivateMessages of one group's life. */
  messages: NamedBytes[]
  welcome: Uint8Array
  welcomed: TestClient[]
}

type Recorder = { messages: NamedBytes[]; record(name: string, message: MLSMessage): void }

/** A real group's life with ts-mls: every form of message that its members send. */
export async function createTestConversation(
  suiteName: CipherSuiteName = SUITE_1,
): Promise<TestConversation> {
  const suite = await testSuite(suiteName)
  const [alice, bob, carol, dave, eve] = (await Promise.all(
    ['alice', 'bob', 'carol', 'dave', 'eve'].map((name) =>
      // ts-mls checks lifetimes against the real clock.
      createTestClient({ identity: `did:plc:${name}`, suite: suiteName, lifetime: defaultLifetime }),
    ),
  )) as [TestClient, TestClient, TestClient, TestClient, TestClient]
  const groupId = new TextEncoder().encode('0123456789abcdef')
  const log = recorder()
  const empty = await createGroup(groupId, alice.keyPackage, alice.privateKeys, [], suite)
  const added = await createCommit(
    { state: empty, cipherSuite: suite },
    { wireAsPublicMessage: true, extraProposals: [add(bob), add(carol)] },
  )
  log.record('public commit that adds', added.commit)
  const bobState = await joinGroup(
    added.welcome!,
    bob.keyPackage,
    bob.privateKeys,
    emptyPskIndex,
    suite,
    added.newState.ratchetTree,
  )
  const afterMessage = await sendMessages(added.newState, suite, log)
  const proposed = await propose(bobState, afterMessage, suite, log)
  const later = await commitInEveryForm(proposed, suite, dave, log)
  await joinFromOutside(later, suite, eve, log)
  const welcome = encodeMlsMessage({ version: 'mls10', wireformat: 'mls_welcome', welcome: added.welcome! })
  return { groupId, messages: log.messages, welcome, welcomed: [bob, carol] }
}

export function add(client: TestClient): Proposal {
  return { proposalType: 'add', add: { keyPackage: client.keyPackage } }
}

function recorder(): Recorder {
  const messages: NamedBytes[] = []
  return { messages, record: (name, message) => messages.push({ name, bytes: encodeMlsMessage(message) }) }
}

async function sendMessages(state: ClientState, suite: CiphersuiteImpl, log: Recorder): Promise<ClientState> {
  let current = state
  for (const length of [0, 40, 63, 600, 20_000]) {
    const { newState, privateMessage } = await createApplicationMessage(
      current,
      new Uint8Array(length).fill(7),
      suite,
      new Uint8Array(length % 100),
    )
    log.record(`application message of ${length} bytes`, {
      version: 'mls10',
      wireformat: 'mls_private_message',
      privateMessage,
    })
    current = newState
  }
  return current
}

/** Bob proposes to remove Carol and Alice commits that proposal by reference. */
async function propose(bob: ClientState, alice: ClientState, suite: CiphersuiteImpl, log: Recorder) {
  const removal: Proposal = { proposalType: 'remove', remove: { removed: 2 } }
  const hidden = await createProposal(bob, false, removal, suite)
  log.record('private proposal', hidden.message)
  const { message } = await createProposal(bob, true, removal, suite)
  log.record('public proposal', message)
  const received = decodeMlsMessage(encodeMlsMessage(message), 0)?.[0]
  if (received?.wireformat !== 'mls_public_message') throw new Error('expected a PublicMessage')
  const { newState } = await processMessage(received, alice, emptyPskIndex, acceptAll, suite)
  const commit = await createCommit({ state: newState, cipherSuite: suite }, { wireAsPublicMessage: true })
  log.record('public commit of a reference', commit.commit)
  return commit.newState
}

async function commitInEveryForm(
  state: ClientState,
  suite: CiphersuiteImpl,
  dave: TestClient,
  log: Recorder,
) {
  const pskId = new TextEncoder().encode('psk')
  const pskIndex = makePskIndex(state, { [Buffer.from(pskId).toString('base64')]: new Uint8Array(32) })
  const steps: [string, boolean, Proposal[]][] = [
    ['private empty commit', false, []],
    ['public empty commit', true, []],
    ['private commit that adds', false, [add(dave)]],
    ['public commit with a pre-shared key', true, [pskProposal(pskId)]],
    ['public commit that removes', true, [{ proposalType: 'remove', remove: { removed: 1 } }]],
    [
      'public commit of group context extensions',
      true,
      [{ proposalType: 'group_context_extensions', groupContextExtensions: { extensions: [] } }],
    ],
  ]
  let current = state
  for (const [name, wireAsPublicMessage, extraProposals] of steps) {
    const authenticatedData = new TextEncoder().encode(name)
    const { commit, newState } = await createCommit(
      { state: current, cipherSuite: suite, pskIndex },
      { wireAsPublicMessage, extraProposals, authenticatedData },
    )
    log.record(name, commit)
    current = newState
  }
  return current
}

function pskProposal(pskId: Uint8Array): Proposal {
  const preSharedKeyId = { psktype: 'external' as const, pskId, pskNonce: new Uint8Array(32) }
  return { proposalType: 'psk', psk: { preSharedKeyId } }
}

async function joinFromOutside(state: ClientState, suite: CiphersuiteImpl, eve: TestClient, log: Recorder) {
  const groupInfo = await createGroupInfoWithExternalPubAndRatchetTree(state, [], suite)
  const { publicMessage } = await joinGroupExternal(groupInfo, eve.keyPackage, eve.privateKeys, false, suite)
  log.record('external commit', { version: 'mls10', wireformat: 'mls_public_message', publicMessage })
  log.record(
    'new member proposal',
    await proposeAddExternal(groupInfo, eve.keyPackage, eve.privateKeys, suite),
  )
}
