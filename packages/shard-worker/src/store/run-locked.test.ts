import type { Reply } from '@catbird/shared/commands'
import { describe, expect, it } from 'vitest'
import { NO_FACTS } from '../conversation/facts.ts'
import type { ConvoState } from '../conversation/state.ts'
import { CONVO, create, Story, send } from '../conversation/story.fixture.ts'
import type { LockedTransaction } from './execute-locked.ts'
import { runLocked } from './run-locked.ts'
import { StoreError, type StoreFailure, type Unit } from './store.ts'

/** What a transaction does at its end: commits, fails, or fails although it will commit. */
type End = 'commits' | StoreFailure | 'commits unnoticed'

/** One conversation in memory; its transactions end in the given ways, one after another. */
class World {
  state: ConvoState | null
  locks = 0
  readonly written: Unit[] = []
  beforeLoad = () => {}
  readonly #ends: End[]
  /** Entry id of each row. */
  readonly #log: string[] = []

  constructor(state: ConvoState | null, ...ends: End[]) {
    this.state = state
    this.#ends = ends
  }

  readonly begin = async <T>(run: (transaction: LockedTransaction) => Promise<T>): Promise<T> => {
    const end = this.#ends.shift()!
    if (end === 'unavailable') throw new StoreError(end, 'planned')
    const before = this.written.length
    const result = await run(this.#transaction())
    if (end !== 'commits' && end !== 'commits unnoticed') throw new StoreError(end, 'planned')
    for (const unit of this.written.slice(before)) this.apply(unit)
    if (end === 'commits unnoticed') throw new StoreError('unknown', 'planned')
    return result
  }

  apply({ changes, final }: Unit): void {
    this.state = final
    for (const { entryId, rows } of changes) for (const { n } of rows) this.#log[n] = entryId
  }

  #transaction(): LockedTransaction {
    const version = () => this.state?.version ?? 0
    return {
      lock: async () => {
        this.locks++
      },
      load: async () => {
        this.beforeLoad()
        return new Map(this.state ? [[CONVO, this.state]] : [])
      },
      facts: async (keys) => keys.map(() => NO_FACTS),
      inspect: async (keys) => keys.map(({ n }) => ({ version: version(), entryId: this.#log[n!] })),
      write: async ([unit]) => {
        if (unit!.expectedVersion !== version()) return new Set()
        this.written.push(unit!)
        return new Set([CONVO])
      },
    }
  }
}

const policy = { maxMembers: 10, messageEpochWindow: 0, messageTtlMs: 1000 }
const clock = { now: () => 0, sleep: async () => {} }
const existing = () => new Story(create('alice', ['bob'])).state

function run({ begin }: World, command = send('alice', 0)): Promise<Reply | StoreFailure> {
  return runLocked(begin, command, 'mine', { clock, policy }).then(
    ({ reply }) => reply,
    (error: StoreError) => error.failure,
  )
}

describe('a command under the lock', () => {
  it('takes the row before it reads', async () => {
    const world = new World(existing(), 'commits')
    expect(await run(world)).toMatchObject({ ok: true, answer: { seq: 1, messageId: 'mine' } })
    expect(world.locks).toBe(1)
  })

  it('is tried again when it was rolled back', async () => {
    expect(await run(new World(existing(), 'rolledBack', 'commits'))).toMatchObject({ ok: true })
  })

  it('G7 finds that its write took effect although the connection was lost', async () => {
    const world = new World(existing(), 'commits unnoticed', 'commits')
    expect(await run(world)).toMatchObject({ ok: true, answer: { seq: 1 } })
    expect(world.written).toHaveLength(1)
  })

  it('G7 is written again when the lost connection took nothing with it', async () => {
    const world = new World(existing(), 'unknown', 'commits')
    expect(await run(world)).toMatchObject({ ok: true, answer: { seq: 1 } })
    expect(world.written.map(({ changes }) => changes[0]!.entryId)).toEqual(['mine', 'mine'])
  })

  it('G7 is not refused because of its own creation, which was late', async () => {
    const world = new World(null, 'unknown', 'commits')
    // The lost backend commits after the second try looked for its write and before that try reads.
    let loads = 0
    world.beforeLoad = () => {
      if (++loads === 2) world.apply(world.written[0]!)
    }
    expect(await run(world, create('alice'))).toMatchObject({ ok: true, answer: { id: CONVO } })
  })

  it('G7 stays in doubt when the database cannot be reached any more', async () => {
    const ends: End[] = ['unknown', 'unavailable', 'unavailable', 'unavailable', 'unavailable']
    expect(await run(new World(existing(), ...ends))).toBe('unknown')
    expect(await run(new World(existing(), 'unavailable'))).toBe('unavailable')
  })

  it('is refused when it cannot be stored', async () => {
    expect(await run(new World(existing(), 'data'))).toBe('data')
  })
})
