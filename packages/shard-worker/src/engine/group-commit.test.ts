import { systemClock } from '@catbird/shared/clock'
import type { Command } from '@catbird/shared/commands'
import { expect, it } from 'vitest'
import type { Decision } from '../conversation/decision.ts'
import { CONVO, commit, create, Story, send } from '../conversation/story.fixture.ts'
import type { Store } from '../store/store.ts'
import { Actor } from './actor.ts'
import type { AcceptedDecision } from './batch.ts'
import { GroupCommit } from './group-commit.ts'
import { pendingOf } from './pending.fixture.ts'
import type { Pending } from './pending.ts'
import type { Telemetry } from './telemetry.ts'

/** A group commit whose writes wait to be answered with the conversations that were written. */
function createGroup() {
  const writes: ((written: Set<string>) => void)[] = []
  const lost: number[][] = []
  const open: Pending[] = []
  const group = new GroupCommit({
    store: { write: () => new Promise((resolve) => writes.push(resolve)) } as unknown as Store,
    clock: systemClock,
    telemetry: { batchWritten: () => {} } as unknown as Telemetry,
    limits: { maxRows: 100, maxBytes: 100 },
    random: () => 0,
    onWritten: () => {},
    onOpenRefusal: (_unit, { pending }) => open.push(pending),
    onLost: (_actor, pendings) => lost.push(pendings.map(({ command }) => command.size)),
    onProgress: () => {},
  })
  const story = new Story(create('alice', ['bob']))
  const actor = new Actor(CONVO, 0)
  actor.state = story.state
  const stage = (command: Command, settle = () => {}) => {
    const decision = story.decide(command) as AcceptedDecision
    story.state = decision.state
    group.stage(actor, { ...pendingOf(CONVO, command), settle }, decision)
  }
  const answerWrite = async (...written: string[]) => {
    writes.shift()!(new Set(written))
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { group, actor, story, stage, lost, open, writes, answerWrite }
}

const sized = (size: number) => ({ ...send('alice', 0), size })

it('G2 gives a lost unit back with what was staged on it, in the order decided', async () => {
  const { group, stage, lost, writes, answerWrite } = createGroup()
  for (const size of [1, 2]) stage(sized(size))
  group.flush()
  for (const size of [3, 4]) stage(sized(size))
  await answerWrite()
  expect(lost).toEqual([[1, 2, 3, 4]])
  expect(writes).toEqual([])
})

it('G6 leaves a refusal that must still name a winner to its confirmation, once the unit is durable', async () => {
  const { group, actor, story, stage, open, answerWrite } = createGroup()
  for (const epoch of [0, 1]) stage(commit('alice', epoch))
  const pending = pendingOf(CONVO)
  group.attachRefusal(actor, pending, story.decide(commit('bob', 0)) as Decision & { outcome: 'refused' })
  group.flush()
  expect(open).toEqual([])
  await answerWrite(CONVO)
  expect(open).toEqual([pending])
})

it('G4 sends the next batch before the callers of the last hear of theirs', async () => {
  const { group, stage, writes, answerWrite } = createGroup()
  const seen: number[] = []
  stage(sized(1), () => seen.push(writes.length))
  group.flush()
  stage(sized(2))
  expect(writes.length).toBe(1)
  await answerWrite(CONVO)
  expect(seen).toEqual([1])
})
