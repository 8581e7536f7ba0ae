import type { RateLimiterRes } from 'rate-limiter-flexible'
import { beforeEach, describe, expect, it } from 'vitest'
import { FixedWindows } from './fixed-windows.ts'

const START_MS = 1_700_000_000_000

describe('fixed windows', () => {
  let nowMs: number
  const clock = { now: () => nowMs, sleep: () => Promise.resolve() }
  const open = ({ points = 3, maxKeys = 100 } = {}) =>
    new FixedWindows({ points, windowS: 60, maxKeys, clock })
  const refused = (consumed: Promise<RateLimiterRes>) =>
    consumed.then(
      () => expect.unreachable(),
      (res: RateLimiterRes) => res,
    )

  beforeEach(() => {
    nowMs = START_MS
  })

  it('let the limit through and refuse the next until the window ends', async () => {
    const windows = open()
    for (const remainingPoints of [2, 1, 0]) {
      expect(await windows.consume('a')).toMatchObject({ remainingPoints, msBeforeNext: 60_000 })
    }
    nowMs += 59_999
    expect(await refused(windows.consume('a'))).toMatchObject({ remainingPoints: 0, msBeforeNext: 1 })
    nowMs += 1
    expect(await windows.consume('a')).toMatchObject({ remainingPoints: 2, msBeforeNext: 60_000 })
  })

  it('begin with the first use of their key, each for itself', async () => {
    const windows = open()
    await windows.consume('a')
    nowMs += 20_000
    expect(await windows.consume('b')).toMatchObject({ msBeforeNext: 60_000, isFirstInDuration: true })
    expect(await windows.consume('a')).toMatchObject({ msBeforeNext: 40_000, isFirstInDuration: false })
  })

  it('take nothing for what does not fit as a whole', async () => {
    const windows = open()
    await windows.consume('a', 2)
    expect(await refused(windows.consume('a', 2))).toMatchObject({ remainingPoints: 1, consumedPoints: 4 })
    expect(await windows.consume('a', 1)).toMatchObject({ remainingPoints: 0 })
    expect(await refused(windows.consume('b', 4))).toMatchObject({ remainingPoints: 3 })
    expect(windows.size).toBe(1)
  })

  it('take back, but never below nothing used, nor into a window that has ended', async () => {
    const windows = open()
    await windows.consume('a', 2)
    expect(await windows.reward('a', 1)).toMatchObject({ remainingPoints: 2 })
    expect(await windows.reward('a', 5)).toMatchObject({ remainingPoints: 3 })
    await windows.consume('a', 3)
    nowMs += 60_000
    await windows.reward('a', 3)
    expect(await windows.get('a')).toBeNull()
    expect(await windows.consume('a')).toMatchObject({ remainingPoints: 2 })
  })

  it('can be looked at, blocked and dropped as the library promises', async () => {
    const windows = open()
    expect(await windows.get('a')).toBeNull()
    await windows.block('a', 300)
    expect(await refused(windows.consume('a'))).toMatchObject({ msBeforeNext: 300_000 })
    expect(await windows.get('a')).toMatchObject({ remainingPoints: 0, consumedPoints: 4 })
    expect(await windows.delete('a')).toBe(true)
    expect(await windows.consume('a')).toMatchObject({ remainingPoints: 2 })
  })

  it('do not last longer because the clock was set back', async () => {
    const windows = open({ points: 1 })
    await windows.consume('a')
    nowMs -= 3_600_000
    expect(await windows.consume('a')).toMatchObject({ msBeforeNext: 60_000 })
  })

  it('keep at most their bound, whoever comes, and forget what was not used for longest', async () => {
    const windows = open({ maxKeys: 10_000 })
    await windows.consume('regular', 2)
    for (let i = 0; i < 1_000_000; i++) {
      await windows.consume(`did:plc:${i}`)
      if (i % 5000 === 0) await windows.get('regular')
    }
    expect(windows.size).toBe(10_000)
    expect(await windows.consume('regular')).toMatchObject({ remainingPoints: 0 })
    expect(await windows.get('did:plc:0')).toBeNull()
  })

  it('leave memory when they have ended and others come', async () => {
    const windows = open({ maxKeys: 1000 })
    for (let i = 0; i < 1000; i++) await windows.consume(`early ${i}`)
    nowMs += 60_000
    for (let i = 0; i < 500; i++) await windows.consume(`late ${i}`)
    expect(windows.size).toBe(500)
    expect(await windows.consume('late 0')).toMatchObject({ remainingPoints: 1 })
  })

  it('keep long keys apart in little memory', async () => {
    const windows = open({ points: 1 })
    const long = 'x'.repeat(2000)
    await windows.consume(`${long}a`)
    await windows.consume(`${long}b`)
    await refused(windows.consume(`${long}a`))
    expect(windows.getKey(`${long}a`)).toHaveLength(64)
  })
})
