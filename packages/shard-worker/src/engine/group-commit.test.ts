import { systemClock } from '@catbird/shared/clock'
import type { Command, Reply } from '@catbird/shared/commands'
import { expect, it } from 'vitest'
import type { Decision } from '../conversation/decision.ts'
import { CONVO, commit, create, Story, send } from '../conversation/story.fixture.ts'
import type { InspectionKey, Store } from '../store/store.ts'
import { Actor } from './actor.ts'
import type { AcceptedDecision } from './batch.ts'
import { GroupCommit } from './group-commit.ts'
import { pendingOf } from './pending.fixture.ts'
import type { Telemetry } from './telemetry.ts'

/** A group commit whose writes wait to be answered with the conversations that were written. */
function createGroup(parts: Partial<Store> = {}) {
  const writes: ((written: Set<string>) => void)[] = []
  const lost: number[][] = []
  const group = new GroupCommit({
    store: { ...parts, write: () => new Promise((resolve) => writes.push(resolve)) } as Store,
    clock: systemClock,
    telemetry: { batchWritten: () => {} } as unknown as Telemetry,
    limits: { maxRows: 100, maxBytes: 100 },
    random: () => 0,
    onWritten: () => {},
    onLateRefusal: () => {},
    onLost: (_actor, pendings) => lost.push(pendings.map(({ command }) => command.size)),
    onProgress: () => {},
  })
  const story = new Story(create('alice', ['bob']))
  const actor = new Actor(CONVO, 0)
  actor.state = story.state
  const stage = (command: Command) => {
    const decision = story.decide(command) as AcceptedDecision
    story.state = decision.state
    group.stage(actor, pendingOf(CONVO, command), decision)
  }
  const answerWrite = async (...written: string[]) => {
    writes.shift()!(new Set(written))
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { group, actor, story, stage, lost, writes, answerWrite }
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
  expect(group.isDrained).toBe(true)
})

it('G6 names the winner in a refusal that waited for its unit', async () => {
  const winner = { seq: 1, epoch: 1, sha256: 'hash' }
  const inspect = async (keys: InspectionKey[]) => {
    expect(keys).toEqual([{ convoId: CONVO, winnerOf: 0 }])
    return [{ version: 4, winner }]
  }
  const { group, actor, story, stage, answerWrite } = createGroup({ inspect })
  for (const epoch of [0, 1]) stage(commit('alice', epoch))
  const replies: Reply[] = []
  const pending = { ...pendingOf(CONVO), settle: (reply: Reply) => replies.push(reply) }
  group.attachRefusal(actor, pending, story.decide(commit('bob', 0)) as Decision & { outcome: 'refused' })
  group.flush()
  expect(replies).toEqual([])
  await answerWrite(CONVO)
  expect(replies).toMatchObject([
    { ok: false, refusal: { details: { serverEpoch: 2, winningCommit: winner } } },
  ])
})
