import { systemClock } from '@catbird/shared/clock'
import type { Command } from '@catbird/shared/commands'
import { expect, it } from 'vitest'
import { create, Story, send } from '../conversation/story.fixture.ts'
import type { Store, Unit } from '../store/store.ts'
import { Actor } from './actor.ts'
import type { AcceptedDecision } from './batch.ts'
import { CommitLanes } from './commit-lanes.ts'
import { pendingOf } from './pending.fixture.ts'
import type { Telemetry } from './telemetry.ts'

type Write = { convoIds: string[]; answer(): Promise<void> }

/** Lanes whose writes wait to be answered, and actors to stage messages for. */
function createLanes() {
  const writes: Write[] = []
  const write = (units: Unit[]) =>
    new Promise<Set<string>>((resolve) => {
      const convoIds = units.map(({ convoId }) => convoId)
      writes.push({
        convoIds,
        async answer() {
          writes.splice(writes.indexOf(this), 1)
          resolve(new Set(convoIds))
          await new Promise((done) => setImmediate(done))
        },
      })
    })
  const lanes = new CommitLanes({
    store: { write } as unknown as Store,
    clock: systemClock,
    telemetry: { batchWritten: () => {} } as unknown as Telemetry,
    limits: { maxRows: 20, maxBytes: 1e6 },
    random: () => 0,
    onWritten: () => {},
    onOpenRefusal: () => {},
    onLost: () => {},
    onProgress: () => {},
  })
  const stories = new Map<string, { actor: Actor; story: Story }>()
  const at = (convoId: string) => {
    const known = stories.get(convoId) ?? { actor: new Actor(convoId, 0), story: new Story(create('alice')) }
    stories.set(convoId, known)
    return known
  }
  const stage = (convoId: string, command: Command = send('alice', 0)) => {
    const { actor, story } = at(convoId)
    const decision = story.decide(command) as AcceptedDecision
    story.state = decision.state
    lanes.stage(actor, pendingOf(convoId, { ...command, convoId }), decision)
  }
  const written = () => writes.map(({ convoIds }) => convoIds)
  return { lanes, stage, writes, written, actorOf: (convoId: string) => at(convoId).actor }
}

it('writes two batches at once', () => {
  const { lanes, stage, written } = createLanes()
  for (const convoId of ['a', 'b', 'c']) {
    stage(convoId)
    lanes.flush()
  }
  expect(written()).toEqual([['a'], ['b']])
})

it('puts few rows that come together in one batch', () => {
  const { lanes, stage, written } = createLanes()
  for (const convoId of ['a', 'b', 'c']) stage(convoId)
  lanes.flush()
  expect(written()).toEqual([['a', 'b', 'c']])
})

it('shares many rows that come together out', () => {
  const { lanes, stage, written } = createLanes()
  const convoIds = Array.from({ length: 30 }, (_, i) => `convo ${i}`)
  for (const convoId of convoIds) stage(convoId)
  lanes.flush()
  expect(written().map(({ length }) => length)).toEqual([16, 14])
})

it('G2 keeps a conversation in the lane where its write is in flight', async () => {
  const { lanes, stage, writes, written } = createLanes()
  stage('a')
  lanes.flush()
  stage('a')
  lanes.flush()
  expect(written()).toEqual([['a']])
  await writes[0]!.answer()
  expect(written()).toEqual([['a']])
})

it('lets a conversation without a write in flight take whichever lane is free', async () => {
  const { lanes, stage, writes, written } = createLanes()
  stage('a')
  lanes.flush()
  await writes[0]!.answer()
  stage('b')
  lanes.flush()
  stage('a')
  lanes.flush()
  expect(written()).toEqual([['b'], ['a']])
})

it('G14 knows what is claimed in any lane', () => {
  const { lanes, stage } = createLanes()
  const keyed = (key: string) => ({ ...send('alice', 0), idempotency: { key, contentHash: key } })
  for (const name of ['a', 'b']) {
    stage(name, keyed(name))
    lanes.flush()
  }
  const isClaimed = ['a', 'b', 'c'].map((key) => lanes.isClaimed(pendingOf('other', keyed(key))))
  expect(isClaimed).toEqual([true, true, false])
})

it('is full when every lane is, and for a conversation when its own is', () => {
  const { lanes, stage, actorOf } = createLanes()
  stage('busy')
  lanes.flush()
  for (let i = 0; i < 20; i++) stage('busy')
  expect([lanes.areFull, lanes.isFullFor(actorOf('busy')), lanes.isFullFor(actorOf('idle'))]).toEqual([
    false,
    true,
    false,
  ])
  for (let i = 0; i < 20; i++) stage('idle')
  expect([lanes.areFull, lanes.isFullFor(actorOf('idle'))]).toEqual([true, true])
})
