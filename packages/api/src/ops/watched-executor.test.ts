import { systemClock } from '@catbird/shared/clock'
import { type Command, refused } from '@catbird/shared/commands'
import { describe, expect, it } from 'vitest'
import { loadConfig } from '../config.ts'
import type { Executor } from '../executors/executor.ts'
import { HotConvos } from './hot-convos.ts'
import { Placement } from './placement.ts'
import { WatchedExecutor } from './watched-executor.ts'

const stale: Executor['execute'] = async () =>
  refused('EpochMismatch', 'not the current epoch', { serverEpoch: 3, expectedEpoch: 2 })

function watch(execute: Executor['execute'], percent = '100') {
  const placement = new Placement(loadConfig({ ACTOR_ROLLOUT_PERCENT: percent }))
  const hot = new HotConvos(systemClock)
  return {
    hot,
    placement,
    watched: new WatchedExecutor({ inner: { execute }, clock: systemClock, placement, hot }),
  }
}

function command(i: number): Command {
  return { type: 'addMembers', convoId: `0${i}`, requestId: String(i) } as Command
}

describe('WatchedExecutor', () => {
  it('answers what the executor answers', async () => {
    const { watched } = watch(stale)
    expect(await watched.execute(command(1))).toEqual(await stale(command(1)))
  })

  it('remembers conflicts with their epochs, and no more than the latest fifty', async () => {
    const { watched } = watch(stale)
    for (let i = 0; i < 80; i++) await watched.execute(command(i))
    expect(watched.conflicts).toHaveLength(50)
    expect(watched.conflicts.at(-1)).toMatchObject({ convoId: '079', serverEpoch: 3, expectedEpoch: 2 })
  })

  it('takes no other refusal for a conflict', async () => {
    const { watched, hot } = watch(async () => refused('Overloaded', 'too much'))
    await watched.execute(command(1))
    expect(watched.conflicts).toEqual([])
    expect(hot.top(1)).toMatchObject([{ convoId: '01', commands: 1 }])
  })

  it('times each executor for itself, and begins anew when it is asked', async () => {
    const { watched, placement } = watch(async () => ({ ok: true, answer: {} }), '50')
    for (let i = 0; i < 40; i++) await watched.execute(command(i))
    const direct = Array.from({ length: 40 }, (_, i) => placement.executorOf(`0${i}`)).filter(
      (e) => e === 'direct',
    ).length
    const times = watched.takeTimes()
    expect(direct).toBeGreaterThan(0)
    expect({ actor: times.actor.commands, direct: times.direct.commands }).toEqual({
      actor: 40 - direct,
      direct,
    })
    expect(watched.takeTimes().actor.commands).toBe(0)
  })
})
