import type { Nsid } from '@catbird/shared/lexicon'
import { beforeEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../config.ts'
import { RateLimitError } from './limit-state.ts'
import { RateLimits } from './rate-limits.ts'
import { RequestLimits } from './request-limits.ts'

const MIB = 2 ** 20
const ALICE = 'did:plc:alice'
const nsid = (name: string) => `blue.catbird.mls.${name}` as Nsid

describe('the limits of one request', () => {
  let nowMs: number
  let limits: RateLimits
  const clock = { now: () => nowMs, sleep: () => Promise.resolve() }
  const make = (env: Record<string, string> = {}) => new RateLimits(loadConfig(env, 'tool').rateLimits, clock)

  beforeEach(() => {
    nowMs = 1_700_000_000_000
    limits = make()
  })

  it('are no headers before one of them applies', async () => {
    const request = new RequestLimits(limits)
    await request.addressMayTry('203.0.113.7')
    expect(request.headers()).toEqual({})
  })

  it('are told as the one with the smallest share left', async () => {
    const request = new RequestLimits(limits)
    await request.takeCaller(ALICE, nsid('addMembers'))
    const perCaller = {
      'RateLimit-Limit': '60',
      'RateLimit-Remaining': '59',
      'RateLimit-Reset': '60',
      'RateLimit-Policy': '60;w=60',
    }
    expect(request.headers()).toEqual(perCaller)
    await request.takeBody(ALICE, 1000)
    expect(request.headers()).toEqual(perCaller)
    await request.takeInput(ALICE, nsid('addMembers'), { convoId: 'aa' })
    expect(request.headers()).toEqual({
      'RateLimit-Limit': '10',
      'RateLimit-Remaining': '9',
      'RateLimit-Reset': '60',
      'RateLimit-Policy': '10;w=60',
    })
  })

  it('compare shares, whatever is counted', async () => {
    const request = new RequestLimits(limits)
    await request.takeCaller(ALICE, nsid('sendMessage'))
    await request.takeBody(ALICE, 15 * MIB)
    expect(request.headers()).toMatchObject({
      'RateLimit-Limit': String(20 * MIB),
      'RateLimit-Remaining': String(5 * MIB),
    })
  })

  it('are told as the one that refused, with the time to come back', async () => {
    limits = make({ RATE_LIMIT_SEND: '1' })
    await new RequestLimits(limits).takeCaller(ALICE, nsid('sendMessage'))
    nowMs += 5500
    const request = new RequestLimits(limits)
    await expect(request.takeCaller(ALICE, nsid('sendMessage'))).rejects.toThrow(RateLimitError)
    expect(request.headers()).toEqual({
      'RateLimit-Limit': '1',
      'RateLimit-Remaining': '0',
      'RateLimit-Reset': '55',
      'RateLimit-Policy': '1;w=60',
      'Retry-After': '55',
    })
  })

  it('tell a failed sender how often its address may still fail', async () => {
    limits = make({ RATE_LIMIT_FAILED_AUTH: '1' })
    const failing = new RequestLimits(limits)
    await failing.addressFailed('203.0.113.7')
    expect(failing.headers()).toMatchObject({ 'RateLimit-Limit': '1', 'RateLimit-Remaining': '0' })
    const next = new RequestLimits(limits)
    await expect(next.addressMayTry('203.0.113.7')).rejects.toThrow(RateLimitError)
    expect(next.headers()).toMatchObject({ 'Retry-After': '60' })
  })

  it('count all bytes to store, once for all who get them, and none of key packages', async () => {
    limits = make({ RATE_LIMIT_STORED_BYTES: String(MIB) })
    const bytes = new Uint8Array(MIB / 2)
    const input = { convoId: 'aa', didList: ['did:plc:b', 'did:plc:c'], commit: bytes, welcomeMessage: bytes }
    await new RequestLimits(limits).takeInput(ALICE, nsid('addMembers'), input)
    const next = new RequestLimits(limits)
    await expect(
      next.takeInput(ALICE, nsid('sendMessage'), { convoId: 'aa', ciphertext: new Uint8Array(1) }),
    ).rejects.toThrow('RateLimitExceeded')
    expect(next.headers()).toMatchObject({ 'RateLimit-Limit': String(MIB), 'Retry-After': '86400' })
    await new RequestLimits(limits).takeInput(ALICE, nsid('publishKeyPackage'), { keyPackage: bytes })
  })

  it('give bytes back that were not stored, once', async () => {
    limits = make({ RATE_LIMIT_STORED_BYTES: String(MIB) })
    const input = { convoId: 'aa', ciphertext: new Uint8Array(MIB / 2) }
    const send = async () => {
      const request = new RequestLimits(limits)
      await request.takeInput(ALICE, nsid('sendMessage'), input)
      return request
    }
    const stale = await send()
    await send()
    await stale.storedNothing()
    await stale.storedNothing()
    await send()
    await expect(send()).rejects.toThrow('RateLimitExceeded')
  })

  it('hold who asks for key packages', async () => {
    limits = make({ RATE_LIMIT_CLAIMS_PER_TARGET: '1' })
    const ask = () =>
      new RequestLimits(limits).takeInput(ALICE, nsid('getKeyPackages'), { dids: ['did:plc:b'] })
    await ask()
    await expect(ask()).rejects.toThrow('RateLimitExceeded')
  })
})
