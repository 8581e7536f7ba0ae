import { describe, expect, it } from 'vitest'
import { Actor } from './actor.ts'
import { pendingOf } from './pending.fixture.ts'

function actorWith(...sizes: number[]): Actor {
  const actor = new Actor('0a', 0)
  for (const size of sizes) actor.push(pendingOf('0a', { size }))
  return actor
}

const sizes = (actor: Actor) => actor.take(Number.POSITIVE_INFINITY).map(({ command }) => command.size)

describe('the mailbox of an actor', () => {
  it('gives commands in the order they came', () => {
    const actor = actorWith(1, 2, 3)
    expect(actor.take(2).map(({ command }) => command.size)).toEqual([1, 2])
    expect(sizes(actor)).toEqual([3])
  })

  it('takes commands back in front of those that wait, in their order', () => {
    const actor = actorWith(1, 2, 3, 4)
    actor.putBack(actor.take(3).slice(1))
    expect(sizes(actor)).toEqual([2, 3, 4])
  })

  it('counts its commands and their bytes', () => {
    const actor = actorWith(10, 20, 30)
    expect([actor.depth, actor.mailboxBytes]).toEqual([3, 60])
    const taken = actor.take(2)
    expect([actor.depth, actor.mailboxBytes]).toEqual([1, 30])
    actor.putBack(taken)
    expect([actor.depth, actor.mailboxBytes]).toEqual([3, 60])
  })
})

it('an actor is idle without commands, unsettled units, obstacles and turns', () => {
  const actor = actorWith(1)
  expect(actor.isIdle).toBe(false)
  actor.take(1)
  expect(actor.isIdle).toBe(true)
  for (const busy of [{ unsettledUnits: 1 }, { isBlocked: true }, { isScheduled: true }]) {
    const other = actorWith()
    Object.assign(other, busy)
    expect(other.isIdle).toBe(false)
  }
})
