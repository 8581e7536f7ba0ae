import {
  acceptAll,
  type CiphersuiteImpl,
  type ClientConfig,
  type ClientState,
  type Credential,
  createApplicationMessage,
  createCommit,
  createGroup,
  decodeMlsMessage,
  defaultCapabilities,
  emptyPskIndex,
  encodeMlsMessage,
  generateKeyPackage,
  getCiphersuiteFromName,
  getCiphersuiteImpl,
  joinGroup,
  type KeyPackage,
  type PrivateKeyPackage,
  type Proposal,
  processMessage,
} from 'ts-mls'
import { defaultClientConfig } from 'ts-mls/clientConfig.js'
import { SUITE } from './convo.ts'

/** What a device keeps of a key package: both halves, and the bytes that it publishes. */
export type OwnKeyPackage = { keyPackage: KeyPackage; privateKeys: PrivateKeyPackage; bytes: Uint8Array }
export type BuiltCommit = { state: ClientState; commit: Uint8Array; welcome?: Uint8Array }
export type Opened = { state: ClientState; plaintext?: string }

const VERSION = { version: 'mls10' } as const
const MONTH_S = 30 * 24 * 60 * 60
/** Who catches up commits first reads the messages of the epochs in between afterwards. */
const CONFIG: ClientConfig = {
  ...defaultClientConfig,
  keyRetentionConfig: { ...defaultClientConfig.keyRetentionConfig, retainKeysForEpochs: 64 },
}

let loadedSuite: Promise<CiphersuiteImpl> | undefined

function suite(): Promise<CiphersuiteImpl> {
  loadedSuite ??= getCiphersuiteImpl(getCiphersuiteFromName(SUITE))
  return loadedSuite
}

/** @param identity a DID, or `DID#device` */
export async function newKeyPackage(identity: string): Promise<OwnKeyPackage> {
  const nowS = BigInt(Math.floor(Date.now() / 1000))
  const { publicPackage, privatePackage } = await generateKeyPackage(
    { credentialType: 'basic', identity: new TextEncoder().encode(identity) },
    defaultCapabilities(),
    { notBefore: nowS - 3600n, notAfter: nowS + BigInt(MONTH_S) - 3600n },
    [],
    await suite(),
  )
  const bytes = encodeMlsMessage({ ...VERSION, wireformat: 'mls_key_package', keyPackage: publicPackage })
  return { keyPackage: publicPackage, privateKeys: privatePackage, bytes }
}

/** A group of one, in epoch 0. */
export async function newGroup(groupId: Uint8Array, own: OwnKeyPackage): Promise<ClientState> {
  return createGroup(groupId, own.keyPackage, own.privateKeys, [], await suite(), CONFIG)
}

export async function joinByWelcome(bytes: Uint8Array, own: OwnKeyPackage): Promise<ClientState> {
  const message = decode(bytes)
  if (message.wireformat !== 'mls_welcome') throw new Error('not a Welcome')
  const { keyPackage, privateKeys } = own
  return joinGroup(
    message.welcome,
    keyPackage,
    privateKeys,
    emptyPskIndex,
    await suite(),
    undefined,
    undefined,
    CONFIG,
  )
}

/** A commit with these proposals, without any a key update; `state` is the group's if the commit is accepted. */
export async function buildCommit(
  state: ClientState,
  extraProposals: Proposal[],
  isPublic: boolean,
): Promise<BuiltCommit> {
  const made = await createCommit(
    { state, cipherSuite: await suite() },
    { extraProposals, ratchetTreeExtension: true, wireAsPublicMessage: isPublic },
  )
  return {
    state: made.newState,
    commit: encodeMlsMessage(made.commit),
    ...(made.welcome && {
      welcome: encodeMlsMessage({ ...VERSION, wireformat: 'mls_welcome', welcome: made.welcome }),
    }),
  }
}

export function addition(bytes: Uint8Array): Proposal {
  return { proposalType: 'add', add: { keyPackage: decodeKeyPackage(bytes) } }
}

/** Removals of every leaf of this DID, be it of one device or of several. */
export function removals(state: ClientState, did: string): Proposal[] {
  return identities(state).flatMap((identity, removed): Proposal[] =>
    identity !== undefined && didOf(identity) === did
      ? [{ proposalType: 'remove', remove: { removed } }]
      : [],
  )
}

/** Credential identities by leaf index; undefined where a leaf is blank. */
export function identities(state: ClientState): (string | undefined)[] {
  return state.ratchetTree
    .filter((_, nodeIndex) => nodeIndex % 2 === 0)
    .map((node) => (node?.nodeType === 'leaf' ? identityOf(node.leaf) : undefined))
}

export function identityOfKeyPackage(bytes: Uint8Array): string {
  return identityOf(decodeKeyPackage(bytes).leafNode)
}

export function didOf(identity: string): string {
  return identity.split('#', 1)[0]!
}

export async function encrypt(
  state: ClientState,
  text: string,
): Promise<{ state: ClientState; ciphertext: Uint8Array }> {
  const plaintext = new TextEncoder().encode(text)
  const { newState, privateMessage } = await createApplicationMessage(state, plaintext, await suite())
  const ciphertext = encodeMlsMessage({ ...VERSION, wireformat: 'mls_private_message', privateMessage })
  return { state: newState, ciphertext }
}

/** Applies a commit or decrypts an application message; throws when the group's keys do not fit. */
export async function open(state: ClientState, bytes: Uint8Array): Promise<Opened> {
  const message = decode(bytes)
  if (message.wireformat !== 'mls_private_message' && message.wireformat !== 'mls_public_message') {
    throw new Error(`not a message of a group: ${message.wireformat}`)
  }
  const result = await processMessage(message, state, emptyPskIndex, acceptAll, await suite())
  if (result.kind === 'newState') return { state: result.newState }
  return { state: result.newState, plaintext: new TextDecoder().decode(result.message) }
}

function identityOf({ credential }: { credential: Credential }): string {
  if (credential.credentialType !== 'basic') throw new Error('not a basic credential')
  return new TextDecoder().decode(credential.identity)
}

function decodeKeyPackage(bytes: Uint8Array): KeyPackage {
  const message = decode(bytes)
  if (message.wireformat !== 'mls_key_package') throw new Error('not a key package')
  return message.keyPackage
}

function decode(bytes: Uint8Array) {
  const decoded = decodeMlsMessage(bytes, 0)
  if (decoded?.[1] !== bytes.length) throw new Error('not an MLSMessage')
  return decoded[0]
}
