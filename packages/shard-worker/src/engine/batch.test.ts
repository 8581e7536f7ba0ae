import { describe, expect, it } from 'vitest'
import { create, Story, send } from '../conversation/story.fixture.ts'
import { Actor } from './actor.ts'
import { type AcceptedDecision, Batch } from './batch.ts'
import { pendingOf } from './pending.fixture.ts'
import { claimsOf } from './pending.ts'

function stage(batch: Batch, convoId: string, more: object = {}): Actor {
  const story = new Story(create('alice'))
  const pending = pendingOf(convoId, { ...send('alice', 0), ...more })
  const decision = story.decide(pending.command) as AcceptedDecision
  const actor = new Actor(convoId, 0)
  batch.add(actor, 1, pending, decision)
  return actor
}

describe('Batch', () => {
  it('is full by rows and by bytes', () => {
    const byRows = new Batch({ maxRows: 2, maxBytes: 1000 })
    const byBytes = new Batch({ maxRows: 1000, maxBytes: 20 })
    for (const batch of [byRows, byBytes]) {
      stage(batch, '0a', { size: 10 })
      expect(batch.isFull).toBe(false)
      stage(batch, '0b', { size: 10 })
      expect(batch.isFull).toBe(true)
    }
  })

  it('gives up claims and size with its last unit', () => {
    const batch = new Batch({ maxRows: 1, maxBytes: 1000 })
    const idempotency = { key: 'k', contentHash: 'h' }
    const claim = 'record alice sendMessage k'
    const actor = stage(batch, '0a', { idempotency })
    expect([batch.has(claim), batch.isFull, actor.unsettledUnits]).toEqual([true, true, 1])
    expect(batch.remove('0a')).toHaveLength(1)
    expect([batch.has(claim), batch.isFull, actor.unsettledUnits]).toEqual([false, false, 0])
  })
})

describe('claimsOf', () => {
  it('claims keys for caller and method, message ids for the conversation', () => {
    const more = { idempotency: { key: 'k', contentHash: 'h' }, message: { id: 'm', contentHash: 'h' } }
    const pending = pendingOf('0a', { ...send('alice', 0), ...more })
    expect(claimsOf(pending)).toEqual(['record alice sendMessage k', 'message 0a m'])
  })

  it('claims a key package under whatever name, when the facts tell', () => {
    const keyPackages = [{ did: 'bob', hash: 'reference' }]
    const pending = pendingOf('0a', create('alice', ['bob'], { keyPackages }))
    const fact = { did: 'bob', hash: 'hash', ref: 'reference', lastResort: false, consumedBy: null }
    expect(claimsOf(pending)).toEqual(['package bob reference'])
    expect(claimsOf(pending, { keyPackages: [fact], formerMembers: [] })).toContain('package bob hash')
  })
})
