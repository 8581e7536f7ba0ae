import type { LockedResult } from '@catbird/shard-worker/store/store'
import { StoreError } from '@catbird/shard-worker/store/store'
import type { CommandTelemetry } from '@catbird/shared/command-telemetry'
import type { Command, Reply } from '@catbird/shared/commands'
import { pino } from 'pino'
import { describe, expect, it } from 'vitest'
import { DirectExecutor } from './direct-executor.ts'

const settled = () => new Promise((resolve) => setImmediate(resolve))
const said = (reply: Reply) => (reply.ok ? 'ok' : reply.refusal.error)
/** What is said by now. */
const saidSoon = (reply: Promise<Reply>) => Promise.race([reply.then(said), settled().then(() => 'nothing')])

/** An executor whose commands run until they are told to end. */
function createExecutor(limits: { maxRunning?: number; queueLimit?: number } = {}) {
  const running: { name: string; end(error?: Error): Promise<unknown> }[] = []
  const clock = { nowMs: 0, now: () => clock.nowMs, sleep: async () => void (await settled()) }
  const store = {
    executeLocked: ({ requestId }: Command) =>
      new Promise<LockedResult>((resolve, reject) => {
        const end = (error?: Error) => {
          running.splice(running.indexOf(run), 1)
          if (error) reject(error)
          else resolve({ reply: { ok: true, answer: {} } })
          return settled()
        }
        const run = { name: requestId, end }
        running.push(run)
      }),
  }
  const telemetry = { commandDone: () => {}, epochAdvanced: () => {} } as unknown as CommandTelemetry
  const log = pino({ enabled: false })
  const options = { store, clock, newId: () => 'id', telemetry, log, maxRunning: 2, queueLimit: 10 }
  const executor = new DirectExecutor({ ...options, ...limits })
  const execute = (convoId: string, requestId: string, deadlineMs = 1000) =>
    executor.execute({ convoId, requestId, deadlineMs } as Command)
  const names = () => running.map(({ name }) => name)
  return { executor, execute, running, names, clock }
}

describe('DirectExecutor', () => {
  it('runs one command of a conversation at a time, in the order they came', async () => {
    const { execute, running, names } = createExecutor({ maxRunning: 4 })
    for (const name of ['a1', 'a2', 'a3']) void execute('0a', name)
    void execute('0b', 'b1')
    expect(names()).toEqual(['a1', 'b1'])
    await running[0]!.end()
    expect(names()).toEqual(['b1', 'a2'])
  })

  it('runs no more at once than it is told, and conversations in turn', async () => {
    const { execute, running, names } = createExecutor({ maxRunning: 1 })
    for (const name of ['a1', 'a2']) void execute('0a', name)
    for (const name of ['b1', 'b2']) void execute('0b', name)
    const order: string[] = []
    while (running.length > 0) {
      expect(running.length).toBe(1)
      order.push(...names())
      await running[0]!.end()
    }
    expect(order).toEqual(['a1', 'b1', 'a2', 'b2'])
  })

  it('G9 refuses when too many wait for a conversation', async () => {
    const { execute, names } = createExecutor({ queueLimit: 2 })
    void execute('0a', 'a1')
    void execute('0a', 'a2')
    expect(await saidSoon(execute('0a', 'a3'))).toBe('Overloaded')
    void execute('0b', 'b1')
    expect(names()).toEqual(['a1', 'b1'])
  })

  it('G9 drops a command unexecuted whose deadline passed while it waited', async () => {
    const { execute, running, names, clock } = createExecutor()
    const [first, second] = [execute('0a', 'a1', 100), execute('0a', 'a2', 100)]
    clock.nowMs = 100
    await running[0]!.end()
    expect(said(await first)).toBe('ok')
    expect(await saidSoon(second)).toBe('Overloaded')
    expect(names()).toEqual([])
  })

  it('goes on after a failure, which it tells by name', async () => {
    const { execute, running, names } = createExecutor()
    const replies = ['a1', 'a2', 'a3'].map((name) => execute('0a', name))
    await running[0]!.end(new StoreError('unknown', 'lost'))
    await running[0]!.end(new Error('unforeseen'))
    expect(names()).toEqual(['a3'])
    await running[0]!.end()
    expect((await Promise.all(replies)).map(said)).toEqual(['OutcomeUnknown', 'InternalServerError', 'ok'])
  })

  it('G5 finishes what it has when it stops and takes nothing more', async () => {
    const { executor, execute, running } = createExecutor()
    const replies = [execute('0a', 'a1'), execute('0a', 'a2')]
    const stopping = executor.stop(Number.POSITIVE_INFINITY)
    expect(await saidSoon(execute('0b', 'b1'))).toBe('ShuttingDown')
    while (running.length > 0) await running[0]!.end()
    await stopping
    expect((await Promise.all(replies)).map(said)).toEqual(['ok', 'ok'])
  })
})
