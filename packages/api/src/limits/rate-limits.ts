import type { Clock } from '@catbird/shared/clock'
import { isProcedure, type Nsid } from '@catbird/shared/lexicon'
import type { Config } from '../config.ts'
import { type LimitState, tightest } from './limit-state.ts'
import { Limiter } from './limiter.ts'

const SECOND_S = 1
const MINUTE_S = 60
const HOUR_S = 60 * MINUTE_S
const DAY_S = 24 * HOUR_S

/** Per limit, of which there are thirteen: 45 MB when full, 55 MB with the longest keys; ended windows are dropped. */
const MAX_KEYS = 100_000

/** Queries and streams are `read`, all other procedures `other`. */
const RATE_BY_NSID: Partial<Record<Nsid, Rate>> = {
  'blue.catbird.mls.sendMessage': 'send',
  'blue.catbird.mls.sendEphemeral': 'ephemeral',
  'blue.catbird.mls.publishKeyPackage': 'publish',
  'blue.catbird.mls.createConvo': 'create',
  'blue.catbird.mls.addMembers': 'membership',
  'blue.catbird.mls.leaveConvo': 'membership',
}

type Settings = Config['rateLimits']
type Rate = 'send' | 'ephemeral' | 'read' | 'publish' | 'create' | 'membership' | 'other'
type Limiters = ReturnType<typeof makeLimiters>

/**
 * What each caller may use, counted by this process alone. A method that takes answers the state of its tightest
 * limit, undefined where none applies, or takes nothing and throws a `RateLimitError`.
 */
export class RateLimits {
  /** Undefined when switched off. */
  readonly #limiters: Limiters | undefined

  constructor(settings: Settings, clock: Clock, maxKeys = MAX_KEYS) {
    this.#limiters = settings.isEnabled ? makeLimiters(settings, clock, maxKeys) : undefined
  }

  /** One request to a method, each method for itself. */
  async take(did: string, nsid: Nsid): Promise<LimitState | undefined> {
    return this.#limiters?.[rateOf(nsid)].take(`${did} ${nsid}`)
  }

  /** One change of a conversation's members; other methods have no limit per conversation. */
  async takeForConvo(did: string, nsid: Nsid, convoId: string): Promise<LimitState | undefined> {
    if (rateOf(nsid) !== 'membership') return undefined
    return this.#limiters?.membershipPerConvo.take(`${did} ${nsid} ${convoId}`)
  }

  /** The bytes of a body. */
  async takeBytes(did: string, bytes: number): Promise<LimitState | undefined> {
    return takeLarge(this.#limiters?.bytes, did, bytes)
  }

  /** Bytes that are about to be stored. */
  async takeStored(did: string, bytes: number): Promise<LimitState | undefined> {
    return takeLarge(this.#limiters?.storedBytes, did, bytes)
  }

  /** For bytes that were not stored after all. */
  async giveBackStored(did: string, bytes: number): Promise<void> {
    await this.#limiters?.storedBytes.giveBack(did, Math.min(bytes, this.#limiters.storedBytes.limit))
  }

  /** Key packages of these DIDs, all or none; one that is named twice counts once. */
  async takeClaims(did: string, targets: readonly string[]): Promise<LimitState | undefined> {
    if (!this.#limiters) return undefined
    const { claims, claimsPerTarget } = this.#limiters
    const keys = Array.from(new Set(targets), (target) => `${did} ${target}`)
    const states = [await claims.take(did, keys.length)]
    try {
      for (const key of keys) states.push(await claimsPerTarget.take(key))
    } catch (error) {
      const taken = keys.slice(0, states.length - 1)
      await Promise.all([
        claims.giveBack(did, keys.length),
        ...taken.map((key) => claimsPerTarget.giveBack(key)),
      ])
      throw error
    }
    return tightest(states)
  }

  /** Refuses an address, as `clientAddress` gives it, that has failed too often, whatever its token is. */
  async addressMayTry(address: string): Promise<undefined> {
    await this.#limiters?.failedAuth.check(address)
  }

  /** Only failures count for addresses: through a PDS thousands of users come from one. */
  async addressFailed(address: string): Promise<LimitState | undefined> {
    return this.#limiters?.failedAuth.count(address)
  }
}

function rateOf(nsid: Nsid): Rate {
  return RATE_BY_NSID[nsid] ?? (isProcedure(nsid) ? 'other' : 'read')
}

/** One valid request may have more bytes than the limit: waiting would not help it, so it takes a whole window. */
async function takeLarge(
  limiter: Limiter | undefined,
  did: string,
  bytes: number,
): Promise<LimitState | undefined> {
  return limiter && bytes > 0 ? limiter.take(did, Math.min(bytes, limiter.limit)) : undefined
}

function makeLimiters(settings: Settings, clock: Clock, maxKeys: number) {
  const limiter = (what: string, points: number, windowS: number) =>
    new Limiter(what, { points, windowS, maxKeys, clock })
  return {
    send: limiter('messages from this caller', settings.send, MINUTE_S),
    ephemeral: limiter('ephemeral messages from this caller', settings.ephemeral, SECOND_S),
    read: limiter('queries of this method from this caller', settings.read, MINUTE_S),
    publish: limiter('key packages from this caller', settings.publish, MINUTE_S),
    create: limiter('new conversations from this caller', settings.create, MINUTE_S),
    membership: limiter('changes of members from this caller', settings.membership, MINUTE_S),
    membershipPerConvo: limiter(
      'changes of members of this conversation from this caller',
      settings.membershipPerConvo,
      MINUTE_S,
    ),
    other: limiter('requests of this method from this caller', settings.other, MINUTE_S),
    bytes: limiter('bytes from this caller', settings.bytes, MINUTE_S),
    storedBytes: limiter('bytes to store from this caller', settings.storedBytes, DAY_S),
    failedAuth: limiter('failed authentications from this address', settings.failedAuth, MINUTE_S),
    claims: limiter('key packages asked for by this caller', settings.claims, HOUR_S),
    claimsPerTarget: limiter(
      'key packages of one DID asked for by this caller',
      settings.claimsPerTarget,
      HOUR_S,
    ),
  }
}
