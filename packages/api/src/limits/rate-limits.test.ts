import { RefusalError } from '@catbird/shared/errors'
import type { Nsid } from '@catbird/shared/lexicon'
import { beforeEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../config.ts'
import { RateLimitError } from './limit-state.ts'
import { RateLimits } from './rate-limits.ts'

const MIB = 2 ** 20
const DAY_MS = 24 * 60 * 60 * 1000
const nsid = (name: string) => `blue.catbird.mls.${name}` as Nsid

/** The limits under test, each another number, on a clock that is stepped. */
const ENV = {
  RATE_LIMIT_SEND: '7',
  RATE_LIMIT_EPHEMERAL: '9',
  RATE_LIMIT_READ: '8',
  RATE_LIMIT_PUBLISH: '5',
  RATE_LIMIT_CREATE: '2',
  RATE_LIMIT_MEMBERSHIP: '6',
  RATE_LIMIT_MEMBERSHIP_PER_CONVO: '3',
  RATE_LIMIT_OTHER: '4',
  RATE_LIMIT_BYTES: String(MIB),
  RATE_LIMIT_STORED_BYTES: String(2 * MIB),
  RATE_LIMIT_FAILED_AUTH: '3',
  RATE_LIMIT_CLAIMS: '10',
  RATE_LIMIT_CLAIMS_PER_TARGET: '2',
}

describe('rate limits', () => {
  let nowMs: number
  let limits: RateLimits
  const clock = { now: () => nowMs, sleep: () => Promise.resolve() }
  const make = (env: Record<string, string> = ENV) =>
    new RateLimits(loadConfig(env, 'tool').rateLimits, clock)

  const refusal = (taking: Promise<unknown>): Promise<RateLimitError> =>
    taking.then(
      () => expect.unreachable(),
      (error) => {
        expect(error).toBeInstanceOf(RateLimitError)
        return error
      },
    )

  beforeEach(() => {
    nowMs = 1_700_000_000_000
    limits = make()
  })

  it.each([
    ['sendMessage', 7],
    ['publishKeyPackage', 5],
    ['createConvo', 2],
    ['addMembers', 6],
    ['leaveConvo', 6],
    ['confirmWelcome', 4],
    ['updateCursor', 4],
    ['getSubscriptionTicket', 4],
    ['streamConvoEvents', 8],
    ['subscribeConvoEvents', 8],
    ['getMessages', 8],
    ['getCommits', 8],
    ['getEpoch', 8],
    ['getConvos', 8],
    ['getWelcome', 8],
    ['getKeyPackages', 8],
  ])('let exactly the limit of %s through, %i, and count it down', async (name, limit) => {
    for (let remaining = limit - 1; remaining >= 0; remaining--) {
      const state = await limits.take('did:plc:alice', nsid(name))
      expect(state).toEqual({ limit, remaining, resetS: 60, windowS: 60 })
    }
    const { state } = await refusal(limits.take('did:plc:alice', nsid(name)))
    expect(state).toEqual({ limit, remaining: 0, resetS: 60, windowS: 60 })
  })

  it('let exactly the limit of sendEphemeral through in each second', async () => {
    for (let second = 0; second < 3; second++) {
      for (let remaining = 8; remaining >= 0; remaining--) {
        const state = await limits.take('did:plc:alice', nsid('sendEphemeral'))
        expect(state).toEqual({ limit: 9, remaining, resetS: 1, windowS: 1 })
      }
      nowMs += 999
      const { state } = await refusal(limits.take('did:plc:alice', nsid('sendEphemeral')))
      expect(state).toEqual({ limit: 9, remaining: 0, resetS: 1, windowS: 1 })
      expect(await limits.take('did:plc:bob', nsid('sendEphemeral'))).toMatchObject({ remaining: 8 })
      nowMs += 1001
    }
  })

  it('by default are those of the documentation', async () => {
    const defaults = make({})
    const limitOf = async (name: string) => (await defaults.take('did:plc:alice', nsid(name)))?.limit
    expect(await limitOf('sendMessage')).toBe(100)
    expect(await limitOf('sendEphemeral')).toBe(10)
    expect(await limitOf('getMessages')).toBe(500)
    expect(await limitOf('publishKeyPackage')).toBe(50)
    expect(await limitOf('createConvo')).toBe(5)
    expect(await limitOf('addMembers')).toBe(60)
    expect(await limitOf('updateCursor')).toBe(200)
    expect(await defaults.takeForConvo('did:plc:alice', nsid('addMembers'), 'aa')).toMatchObject({
      limit: 10,
    })
    expect(await defaults.takeBytes('did:plc:alice', 1)).toMatchObject({ limit: 20 * MIB, windowS: 60 })
    expect(await defaults.takeStored('did:plc:alice', 1)).toMatchObject({ limit: 500 * MIB, windowS: 86_400 })
  })

  it('say when to come back, exactly, and let through then', async () => {
    await limits.take('did:plc:alice', nsid('createConvo'))
    nowMs += 12_345
    await limits.take('did:plc:alice', nsid('createConvo'))
    const error = await refusal(limits.take('did:plc:alice', nsid('createConvo')))
    expect(error).toBeInstanceOf(RefusalError)
    expect(error.refusal).toMatchObject({
      error: 'RateLimitExceeded',
      details: { limit: 2, windowS: 60, retryAfterS: 48 },
    })
    nowMs += 47_654
    const atEnd = await refusal(limits.take('did:plc:alice', nsid('createConvo')))
    expect(atEnd.state.resetS).toBe(1)
    nowMs += 1
    expect(await limits.take('did:plc:alice', nsid('createConvo'))).toMatchObject({
      remaining: 1,
      resetS: 60,
    })
  })

  it('know nothing of other callers and other methods', async () => {
    for (let i = 0; i < 6; i++) await limits.take('did:plc:alice', nsid('addMembers'))
    await refusal(limits.take('did:plc:alice', nsid('addMembers')))
    expect(await limits.take('did:plc:alice', nsid('leaveConvo'))).toMatchObject({ remaining: 5 })
    expect(await limits.take('did:plc:bob', nsid('addMembers'))).toMatchObject({ remaining: 5 })
    for (let i = 0; i < 8; i++) await limits.take('did:plc:alice', nsid('getEpoch'))
    expect(await limits.take('did:plc:alice', nsid('getConvos'))).toMatchObject({ remaining: 7 })
  })

  it('hold changes of members for each caller, method and conversation', async () => {
    const take = (did: string, name: string, convoId: string) => limits.takeForConvo(did, nsid(name), convoId)
    for (const remaining of [2, 1, 0]) {
      expect(await take('did:plc:alice', 'addMembers', 'aa')).toMatchObject({ limit: 3, remaining })
    }
    await refusal(take('did:plc:alice', 'addMembers', 'aa'))
    expect(await take('did:plc:alice', 'leaveConvo', 'aa')).toMatchObject({ remaining: 2 })
    expect(await take('did:plc:alice', 'addMembers', 'bb')).toMatchObject({ remaining: 2 })
    expect(await take('did:plc:bob', 'addMembers', 'aa')).toMatchObject({ remaining: 2 })
    expect(await take('did:plc:alice', 'sendMessage', 'aa')).toBeUndefined()
  })

  it('refuse bytes as a whole and keep what is left for smaller bodies', async () => {
    expect(await limits.takeBytes('did:plc:alice', MIB - 1000)).toMatchObject({ remaining: 1000 })
    const { state } = await refusal(limits.takeBytes('did:plc:alice', 1001))
    expect(state).toEqual({ limit: MIB, remaining: 1000, resetS: 60, windowS: 60 })
    expect(await limits.takeBytes('did:plc:alice', 1000)).toMatchObject({ remaining: 0 })
    await refusal(limits.takeBytes('did:plc:alice', 1))
    expect(await limits.takeBytes('did:plc:alice', 0)).toBeUndefined()
    expect(await limits.takeBytes('did:plc:bob', 1000)).toMatchObject({ remaining: MIB - 1000 })
    nowMs += 60_000
    expect(await limits.takeBytes('did:plc:alice', MIB)).toMatchObject({ remaining: 0 })
  })

  it('give a body above the limit a whole window, since no waiting would make it fit', async () => {
    expect(await limits.takeBytes('did:plc:alice', 3 * MIB)).toMatchObject({ remaining: 0 })
    nowMs += 60_000
    await limits.takeBytes('did:plc:alice', 1)
    await refusal(limits.takeBytes('did:plc:alice', 3 * MIB))
  })

  it('count stored bytes for a day, without those that were not stored after all', async () => {
    await limits.takeStored('did:plc:alice', 2 * MIB)
    await limits.giveBackStored('did:plc:alice', MIB)
    nowMs += DAY_MS - 1
    await refusal(limits.takeStored('did:plc:alice', MIB + 1))
    expect(await limits.takeStored('did:plc:alice', MIB)).toMatchObject({ remaining: 0, resetS: 1 })
    nowMs += 1
    expect(await limits.takeStored('did:plc:alice', 1)).toMatchObject({
      remaining: 2 * MIB - 1,
      resetS: 86_400,
    })
  })

  it('know nothing of the bytes that another caller has stored or given back', async () => {
    await limits.takeStored('did:plc:alice', 2 * MIB)
    expect(await limits.takeStored('did:plc:bob', MIB)).toMatchObject({ remaining: MIB })
    await limits.giveBackStored('did:plc:bob', MIB)
    await refusal(limits.takeStored('did:plc:alice', 1))
    expect(await limits.takeStored('did:plc:bob', 2 * MIB)).toMatchObject({ remaining: 0 })
  })

  it('hold claims for each caller by the DIDs asked for, named twice or once', async () => {
    const targets = Array.from({ length: 9 }, (_, i) => `did:plc:target${i}`)
    const state = await limits.takeClaims('did:plc:alice', [...targets, ...targets])
    expect(state).toEqual({ limit: 10, remaining: 1, resetS: 3600, windowS: 3600 })
    await refusal(limits.takeClaims('did:plc:alice', ['did:plc:x', 'did:plc:y']))
    expect(await limits.takeClaims('did:plc:alice', ['did:plc:x'])).toMatchObject({ remaining: 0 })
    await refusal(limits.takeClaims('did:plc:alice', ['did:plc:z']))
    expect(await limits.takeClaims('did:plc:bob', targets)).toMatchObject({ remaining: 1 })
  })

  it('hold claims for each caller and target, and take nothing when one target is refused', async () => {
    const take = (...targets: string[]) => limits.takeClaims('did:plc:alice', targets)
    await take('did:plc:bob')
    expect(await take('did:plc:bob')).toMatchObject({ limit: 2, remaining: 0 })
    const { state } = await refusal(take('did:plc:carol', 'did:plc:bob', 'did:plc:dave'))
    expect(state).toMatchObject({ limit: 2, remaining: 0 })
    await refusal(take('did:plc:bob'))
    await take('did:plc:carol', 'did:plc:dave')
    await take('did:plc:carol', 'did:plc:dave')
    expect(await limits.takeClaims('did:plc:eve', ['did:plc:bob'])).toMatchObject({ remaining: 1 })
    // Six of ten are used: eight would not fit if the refused three had counted.
    expect(await take('did:plc:f', 'did:plc:g', 'did:plc:h', 'did:plc:i')).toMatchObject({ remaining: 0 })
  })

  it('refuse an address after its failures alone, until its window ends', async () => {
    const [address, other] = ['203.0.113.7', '203.0.113.8']
    for (let i = 0; i < 1000; i++) await limits.addressMayTry(address)
    for (const remaining of [2, 1, 0]) {
      await limits.addressMayTry(address)
      expect(await limits.addressFailed(address)).toMatchObject({ limit: 3, remaining })
    }
    const { state } = await refusal(limits.addressMayTry(address))
    expect(state).toEqual({ limit: 3, remaining: 0, resetS: 60, windowS: 60 })
    await limits.addressMayTry(other)
    // Those that were under way when the limit was reached neither fail nor prolong it.
    expect(await limits.addressFailed(address)).toMatchObject({ remaining: 0 })
    nowMs += 59_999
    await refusal(limits.addressMayTry(address))
    nowMs += 1
    await limits.addressMayTry(address)
  })

  it('take nothing and say nothing when they are off', async () => {
    const off = make({ ...ENV, RATE_LIMIT_ENABLED: 'false' })
    for (let i = 0; i < 20; i++) {
      expect(await off.take('did:plc:alice', nsid('createConvo'))).toBeUndefined()
      expect(await off.takeForConvo('did:plc:alice', nsid('addMembers'), 'aa')).toBeUndefined()
      expect(await off.takeBytes('did:plc:alice', MIB)).toBeUndefined()
      expect(await off.takeStored('did:plc:alice', MIB)).toBeUndefined()
      expect(await off.takeClaims('did:plc:alice', ['did:plc:bob'])).toBeUndefined()
      expect(await off.addressFailed('203.0.113.7')).toBeUndefined()
      await off.addressMayTry('203.0.113.7')
      await off.giveBackStored('did:plc:alice', MIB)
    }
  })
})
