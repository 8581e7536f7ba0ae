import { systemClock } from '@catbird/shared/clock'
import { expect, it } from 'vitest'
import { create, Story, send } from '../conversation/story.fixture.ts'
import type { Store } from '../store/store.ts'
import { Actor } from './actor.ts'
import type { AcceptedDecision } from './batch.ts'
import { GroupCommit } from './group-commit.ts'
import { pendingOf } from './pending.fixture.ts'
import type { Telemetry } from './telemetry.ts'

it('G2 gives a lost unit back with what was staged on it, in the order decided', async () => {
  const writes = [Promise.withResolvers<Set<string>>(), Promise.withResolvers<Set<string>>()]
  let sent = 0
  const lost: number[][] = []
  const group = new GroupCommit({
    store: { write: () => writes[sent++]!.promise } as unknown as Store,
    clock: systemClock,
    telemetry: { batchWritten: () => {} } as unknown as Telemetry,
    limits: { maxRows: 100, maxBytes: 100 },
    random: () => 0,
    onWritten: () => {},
    onLateRefusal: () => {},
    onLost: (_actor, pendings) => lost.push(pendings.map(({ command }) => command.size)),
    onProgress: () => {},
  })
  const story = new Story(create('alice'))
  const actor = new Actor('0a', 0)
  const stage = (size: number) => {
    const pending = pendingOf('0a', { size })
    actor.state = story.state
    group.stage(actor, pending, story.decide(send('alice', 0)) as AcceptedDecision)
  }
  stage(1)
  stage(2)
  group.flush()
  stage(3)
  stage(4)
  writes[0]!.resolve(new Set())
  await new Promise((resolve) => setImmediate(resolve))
  expect(lost).toEqual([[1, 2, 3, 4]])
  expect(sent).toBe(1)
  expect(group.isDrained).toBe(true)
})
