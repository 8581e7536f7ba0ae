import { createHmac } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { ReplayMemory } from './replay-memory.ts'
import { failureOf } from './service-token.fixture.ts'

const KEY = Buffer.alloc(32, 1)
const START_MS = 1_800_000_000_000

function makeMemory({ maxTokens, key = KEY }: { maxTokens?: number; key?: Buffer } = {}) {
  const clock = { nowMs: START_MS, now: () => clock.nowMs, sleep: () => Promise.resolve() }
  const memory = new ReplayMemory({ key, clock, maxTokens })
  return { clock, use: async (jti: string, expiresAtMs: number) => memory.use('did:plc:a', jti, expiresAtMs) }
}

describe('ReplayMemory', () => {
  it('names a used token by a keyed hash of issuer and id, so that processes agree', async () => {
    const hash = createHmac('sha256', KEY).update('did:plc:a\0one').digest('hex').slice(0, 32)
    const use = { hash, expiresAtMs: START_MS + 5000 }
    expect(await makeMemory().use('one', START_MS + 5000)).toEqual(use)
    expect(await makeMemory().use('one', START_MS + 5000)).toEqual(use)
    const { use: useElsewhere } = makeMemory({ key: Buffer.alloc(32, 2) })
    expect((await useElsewhere('one', START_MS + 5000)).hash).not.toBe(hash)
  })

  it('refuses a second use until the very end, whatever expiry it claims', async () => {
    const { clock, use } = makeMemory()
    await use('one', START_MS + 5500)
    for (const [nowMs, expiresAtMs] of [
      [0, 5500],
      [0, 90_000],
      [5499, 5500],
      [5499, 90_000],
    ] as const) {
      clock.nowMs = START_MS + nowMs
      expect(await failureOf(use('one', START_MS + expiresAtMs))).toBe('ReplayedToken replayed')
    }
  })

  it('forgets a token only when it would be refused for its age', async () => {
    const { clock, use } = makeMemory({ maxTokens: 1 })
    await use('one', START_MS + 5500)
    clock.nowMs = START_MS + 6000
    expect(await failureOf(use('one', START_MS + 5500))).toBe('ExpiredToken expired')
    await use('two', START_MS + 90_000)
  })

  it('does not accept a forgotten token when the clock goes back', async () => {
    const { clock, use } = makeMemory()
    await use('one', START_MS + 5000)
    clock.nowMs = START_MS + 10_000
    await use('two', START_MS + 90_000)
    clock.nowMs = START_MS
    expect(await failureOf(use('one', START_MS + 5000))).toBe('ExpiredToken expired')
    expect(await failureOf(use('two', START_MS + 90_000))).toBe('ReplayedToken replayed')
  })

  it('refuses new tokens when it is full, and still knows all that were used', async () => {
    const { clock, use } = makeMemory({ maxTokens: 3 })
    for (const [index, jti] of ['one', 'two', 'three'].entries()) {
      await use(jti, START_MS + 1000 * (index + 1))
    }
    expect(await failureOf(use('four', START_MS + 90_000))).toBe('Overloaded')
    for (const jti of ['one', 'two', 'three']) {
      expect(await failureOf(use(jti, START_MS + 90_000))).toBe('ReplayedToken replayed')
    }
    clock.nowMs = START_MS + 2000
    await use('four', START_MS + 90_000)
    await use('five', START_MS + 90_000)
    expect(await failureOf(use('six', START_MS + 90_000))).toBe('Overloaded')
    expect(await failureOf(use('three', START_MS + 90_000))).toBe('ReplayedToken replayed')
  })
})
