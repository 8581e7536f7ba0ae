import {
  createTestClient,
  type TestClient as MlsClient,
  SUITE_1,
  testSuite,
} from '@catbird/shared/mls/test-key-packages'
import { add } from '@catbird/shared/mls/test-messages'
import {
  type CiphersuiteImpl,
  type ClientState,
  createApplicationMessage,
  createCommit,
  createGroup,
  decodeMlsMessage,
  defaultLifetime,
  emptyPskIndex,
  encodeMlsMessage,
  joinGroup,
} from 'ts-mls'
import { makeKeyPackageRef } from 'ts-mls/keyPackage.js'
import type { TestClient } from './client.ts'
import { sha256 } from './log-chain.ts'

/** A device with a real key package; `hash` and `ref` are its two names. */
export type Device = MlsClient & {
  identity: string
  hash: string
  ref: string
  /** Joins with a Welcome that carries the ratchet tree, base64; the epoch that the group is then in. */
  join(welcome: string): Promise<number>
}

export async function newDevice(identity: string): Promise<Device> {
  const client = await createTestClient({ identity, lifetime: defaultLifetime })
  const { hash } = await testSuite(SUITE_1)
  const ref = Buffer.from(await makeKeyPackageRef(client.keyPackage, hash)).toString('hex')
  const join = (welcome: string) => joinWith(client, welcome)
  return { ...client, identity, hash: sha256(client.bytes), ref, join }
}

async function joinWith({ keyPackage, privateKeys }: MlsClient, welcome: string): Promise<number> {
  const message = decodeMlsMessage(new Uint8Array(Buffer.from(welcome, 'base64')), 0)?.[0]
  if (message?.wireformat !== 'mls_welcome') throw new Error('expected a Welcome')
  const suite = await testSuite(SUITE_1)
  const state = await joinGroup(message.welcome, keyPackage, privateKeys, emptyPskIndex, suite)
  return Number(state.groupContext.epoch)
}

export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}

/** Makes and publishes a key package of the client's. */
export async function publishDevice(
  client: TestClient,
  input: Record<string, unknown> = {},
): Promise<Device> {
  const { device, ...rest } = input
  const made = await newDevice(device ? `${client.did}#${device}` : client.did)
  await client.ok('publishKeyPackage', { keyPackage: base64(made.bytes), cipherSuite: SUITE_1, ...rest })
  return made
}

/** The group of a real client: commits, Welcomes and messages as ts-mls makes them. */
export class RealGroup {
  #state: ClientState
  readonly #suite: CiphersuiteImpl

  private constructor(state: ClientState, suite: CiphersuiteImpl) {
    this.#state = state
    this.#suite = suite
  }

  static async create(convoId: string, creator: Device): Promise<RealGroup> {
    const suite = await testSuite(SUITE_1)
    const groupId = new Uint8Array(Buffer.from(convoId, 'hex'))
    return new RealGroup(
      await createGroup(groupId, creator.keyPackage, creator.privateKeys, [], suite),
      suite,
    )
  }

  get epoch(): number {
    return Number(this.#state.groupContext.epoch)
  }

  /** Commits the devices' key packages and moves on. */
  async add(...devices: Device[]): Promise<{ commit: Uint8Array; welcome: Uint8Array }> {
    const made = await createCommit(
      { state: this.#state, cipherSuite: this.#suite },
      { extraProposals: devices.map(add), ratchetTreeExtension: true },
    )
    this.#state = made.newState
    const welcome = encodeMlsMessage({
      version: 'mls10',
      wireformat: 'mls_welcome',
      welcome: made.welcome!,
    })
    return { commit: encodeMlsMessage(made.commit), welcome }
  }

  async message(text: string): Promise<Uint8Array> {
    const made = await createApplicationMessage(this.#state, new TextEncoder().encode(text), this.#suite)
    this.#state = made.newState
    const { privateMessage } = made
    return encodeMlsMessage({ version: 'mls10', wireformat: 'mls_private_message', privateMessage })
  }
}

/** A Welcome for these devices alone, of a group that nobody else knows. */
export async function welcomeFor(...devices: Device[]): Promise<Uint8Array> {
  const group = await RealGroup.create('00', await newDevice('did:plc:inviter'))
  return (await group.add(...devices)).welcome
}
