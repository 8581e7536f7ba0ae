import { loadConfig } from '@catbird/api/config'
import { RateLimits } from '@catbird/api/limits/rate-limits'
import { systemClock } from '@catbird/shared/clock'
import { RefusalError } from '@catbird/shared/errors'
import type { Nsid } from '@catbird/shared/lexicon'
import { describe, expect, it } from 'vitest'
import { describeRefusal } from './limit-hits.ts'

const nsid = (name: string) => `blue.catbird.mls.${name}` as Nsid
const MIB = 2 ** 20
/** The least that the settings take. */
const limitOf = (setting: string) => (setting.endsWith('BYTES') ? MIB : 1)
const limitsWith = (setting: string) =>
  new RateLimits(loadConfig({ [setting]: String(limitOf(setting)) }, 'tool').rateLimits, systemClock)

const TAKES: Record<string, (limits: RateLimits) => Promise<unknown>> = {
  RATE_LIMIT_SEND: (limits) => limits.take('did:plc:a', nsid('sendMessage')),
  RATE_LIMIT_READ: (limits) => limits.take('did:plc:a', nsid('getMessages')),
  RATE_LIMIT_CREATE: (limits) => limits.take('did:plc:a', nsid('createConvo')),
  RATE_LIMIT_MEMBERSHIP: (limits) => limits.take('did:plc:a', nsid('addMembers')),
  RATE_LIMIT_MEMBERSHIP_PER_CONVO: (limits) => limits.takeForConvo('did:plc:a', nsid('addMembers'), 'aa'),
  RATE_LIMIT_OTHER: (limits) => limits.take('did:plc:a', nsid('updateCursor')),
  RATE_LIMIT_BYTES: (limits) => limits.takeBytes('did:plc:a', MIB),
  RATE_LIMIT_STORED_BYTES: (limits) => limits.takeStored('did:plc:a', MIB),
}

describe('a rate limit that was the bound', () => {
  it.each(Object.keys(TAKES))('is named by its setting: %s', async (setting) => {
    const limits = limitsWith(setting)
    const take = TAKES[setting]!
    await take(limits)
    const error = await take(limits).then(
      () => expect.unreachable(),
      (thrown: unknown) => thrown,
    )
    expect(error).toBeInstanceOf(RefusalError)
    const { message, details } = (error as RefusalError).refusal
    const text = describeRefusal({ message: `${message} (limit=${details?.limit})`, ...details })
    expect(text).toMatch(
      new RegExp(`^A rate limit was the bound: ${setting} lets each caller have ${limitOf(setting)} per `),
    )
  })
})
