import { describe, expect, it } from 'vitest'
import { create, Story } from '../conversation/story.fixture.ts'
import type { Actor } from './actor.ts'
import { ActorRegistry } from './actor-registry.ts'
import { pendingOf } from './pending.fixture.ts'

const { state } = new Story(create('alice'))

function registryOf(maxResident: number, ...convoIds: string[]) {
  const stopped: string[] = []
  const onStop = (convoId: string, reason: string) => stopped.push(`${convoId} ${reason}`)
  const registry = new ActorRegistry({ maxResident, idleMs: 1000, onStop })
  const start = (convoId: string, nowMs: number) => {
    const actor = registry.activate(convoId, nowMs)
    return Object.assign(actor, { state, isStarted: true })
  }
  const actors = convoIds.map((convoId, i) => start(convoId, i))
  return { registry, stopped, start, actors }
}

const BUSY: [string, (actor: Actor) => void][] = [
  ['staged state', (actor) => actor.unsettledUnits++],
  ['waiting commands', (actor) => actor.push(pendingOf(actor.convoId))],
  ['an outcome in doubt', (actor) => Object.assign(actor, { isBlocked: true })],
]

describe('ActorRegistry', () => {
  it('G8 finds the actor that the first command started', () => {
    const { registry, actors } = registryOf(10, '0a')
    expect(registry.activate('0a', 1)).toBe(actors[0])
    expect(registry.size).toBe(1)
  })

  it('G10 evicts the least recently used above the cap', () => {
    const { registry, stopped, start } = registryOf(2, '0a', '0b')
    registry.activate('0a', 2)
    registry.release(start('0c', 3))
    expect(stopped).toEqual(['0b evicted'])
    expect([...registry.values()].map(({ convoId }) => convoId)).toEqual(['0a', '0c'])
  })

  it.each(BUSY)('G10 evicts another than the one with %s', (_, makeBusy) => {
    const { registry, stopped, start, actors } = registryOf(2, '0a', '0b')
    makeBusy(actors[0]!)
    registry.release(start('0c', 2))
    expect(stopped).toEqual(['0b evicted'])
  })

  it('passivates what has been idle for long', () => {
    const { registry, stopped } = registryOf(10, '0a', '0b', '0c')
    registry.activate('0a', 500)
    registry.sweep(1001)
    expect(stopped).toEqual(['0b idle'])
  })

  it.each(BUSY)('G10 never passivates one with %s', (_, makeBusy) => {
    const { registry, stopped, actors } = registryOf(10, '0a')
    makeBusy(actors[0]!)
    registry.sweep(100_000)
    expect(stopped).toEqual([])
    expect(registry.peek('0a')).toBe(actors[0])
  })

  it('passivates at an operator’s wish', () => {
    const { registry, stopped } = registryOf(10, '0a', '0b')
    expect(registry.passivate('0a')).toBe('passivated')
    expect(registry.passivate('0a')).toBe('absent')
    expect(stopped).toEqual(['0a operator'])
    expect(registry.peek('0b')).toBeDefined()
  })

  it.each(BUSY)('G10 passivates one with %s only when that is over', (_, makeBusy) => {
    const { registry, stopped, actors } = registryOf(10, '0a')
    const [actor] = actors as [Actor]
    makeBusy(actor)
    expect(registry.passivate('0a')).toBe('leaving')
    registry.release(actor)
    expect(registry.peek('0a')).toBe(actor)
    actor.take(1)
    Object.assign(actor, { unsettledUnits: 0, isBlocked: false })
    registry.release(actor)
    expect(stopped).toEqual(['0a operator'])
    expect(registry.peek('0a')).toBeUndefined()
  })

  it('keeps no actor for a conversation that does not exist', () => {
    const { registry, stopped } = registryOf(10)
    const actor = registry.activate('0a', 0)
    actor.state = null
    registry.release(actor)
    expect(registry.size).toBe(0)
    expect(stopped).toEqual([])
  })

  it('gives up a state that remembers very many departures', () => {
    const { registry, actors } = registryOf(10, '0a')
    actors[0]!.state = { ...state!, left: Array.from({ length: 300 }, (_, i) => `did:plc:${i}`) }
    registry.release(actors[0]!)
    expect(registry.peek('0a')!.state).toBeUndefined()
  })
})
