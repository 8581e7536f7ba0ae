import type { Caller } from './caller.ts'
import { newGroupId, SUITE } from './convo.ts'
import { sha256 } from './log-chain.ts'
import { LogPosition } from './log-position.ts'
import { joinByWelcome, newGroup, newKeyPackage, type OwnKeyPackage } from './mls-crypto.ts'
import { MlsGroup } from './mls-group.ts'

/** A real MLS client (ts-mls) that talks to the server over HTTP: one device of one DID. */
export class MlsClient {
  readonly caller: Caller
  /** The identity in its credential: the DID, or `DID#device`. */
  readonly identity: string
  /** Published and not used yet, by the hash of the bytes. */
  readonly #keyPackages = new Map<string, OwnKeyPackage>()

  constructor(caller: Caller, device?: string) {
    this.caller = caller
    this.identity = device === undefined ? caller.did : `${caller.did}#${device}`
  }

  get did(): string {
    return this.caller.did
  }

  /** Answers the hash that names the package. */
  async publishKeyPackage(): Promise<string> {
    const own = await newKeyPackage(this.identity)
    const hash = sha256(own.bytes)
    const keyPackage = Buffer.from(own.bytes).toString('base64')
    const { keyPackageHash } = await this.caller.ok('publishKeyPackage', { keyPackage, cipherSuite: SUITE })
    if (keyPackageHash !== hash) throw new Error(`the server names the key package ${keyPackageHash}`)
    this.#keyPackages.set(hash, own)
    return hash
  }

  /** A conversation of its own, in epoch 0, which the server tracks from there. */
  async createGroup(): Promise<MlsGroup> {
    const groupId = newGroupId()
    const own = await newKeyPackage(this.identity)
    const state = await newGroup(new Uint8Array(Buffer.from(groupId, 'hex')), own)
    await this.caller.ok('createConvo', { groupId, cipherSuite: SUITE, epoch: 0 })
    return new MlsGroup(this.caller, groupId, state, LogPosition.beforeFirst(groupId))
  }

  /** Joins with the Welcome for one of its key packages and confirms it; begins to read at the joining commit. */
  async join(convoId: string): Promise<MlsGroup> {
    const { welcome, keyPackageHash } = await this.#findWelcome(convoId)
    const own = this.#keyPackages.get(keyPackageHash)!
    const state = await joinByWelcome(Buffer.from(welcome, 'base64'), own)
    const epoch = Number(state.groupContext.epoch)
    const { commits } = await this.caller.ok('getCommits', { convoId, fromEpoch: epoch, toEpoch: epoch })
    const { seq, logHash } = commits[0] ?? {}
    if (seq === undefined || logHash === undefined) throw new Error(`no commit created epoch ${epoch}`)
    const { confirmed } = await this.caller.ok('confirmWelcome', { convoId, success: true, keyPackageHash })
    if (!confirmed) throw new Error('the Welcome could not be confirmed')
    this.#keyPackages.delete(keyPackageHash)
    // The first entry of all follows from the convoId alone: that one can be checked as well.
    const position = seq === 1 ? LogPosition.beforeFirst(convoId) : LogPosition.at({ seq, logHash })
    return new MlsGroup(this.caller, convoId, state, position)
  }

  async #findWelcome(convoId: string): Promise<{ welcome: string; keyPackageHash: string }> {
    for (const keyPackageHash of this.#keyPackages.keys()) {
      const { status, body } = await this.caller.call('getWelcome', { convoId, keyPackageHash })
      if (status === 200) return { welcome: body.welcome, keyPackageHash }
      if (body.error !== 'WelcomeNotFound') {
        throw new Error(`getWelcome answered ${status} ${JSON.stringify(body)}`)
      }
    }
    throw new Error(`no Welcome for ${this.identity}`)
  }
}
