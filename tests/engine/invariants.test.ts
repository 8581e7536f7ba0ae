import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { publishedKeyPackages } from './command-maker.ts'
import { CONVO, commit, create, leave, send } from './commands.ts'
import { POISON } from './sim-transaction.ts'
import type { WorldOptions } from './sim-world.ts'
import { SteppedWorld } from './stepped-world.ts'

// One list, longer than other files: the invariants in their order, found by the number that the code cites.

let at: SteppedWorld

/** A world in which the conversation exists: alice made it with bob, in epoch 0. */
async function begin(options: Partial<WorldOptions> = {}): Promise<void> {
  at = new SteppedWorld({ owners: ['actor', 'actor'], keyPackages: publishedKeyPackages(), ...options })
  await at.done(create('creation', 'alice', { initialMembers: ['bob'], epoch: 0 }))
}

beforeEach(() => begin())
afterEach(() => expect(at.problems()).toEqual([]))

function key(name: string, contentHash = name) {
  return { idempotency: { key: name, contentHash } }
}

/** What the entries of the conversation say, in order. */
function contents(): string[] {
  const entries = at.world.database.convo(CONVO).log.filter(({ bytes }) => bytes)
  return entries.map(({ bytes }) => Buffer.from(bytes!, 'base64').toString())
}

/** Lets the first owner decide on what the second then changes. */
async function overtake(i: number): Promise<void> {
  if (i > 0) await at.takeUntil('a load.reply')
  at.ask(send(`faster ${i}`, 'bob', 0), 1)
  await at.takeUntil('b write.reply')
  await at.takeUntil('a write.reply')
}

describe('G1', () => {
  it('no reply leaves before COMMIT', async () => {
    const message = at.ask(send('message', 'alice', 0))
    await at.take('a write.prepare')
    expect(message.outcome).toBeUndefined()
    expect(at.log(CONVO)).toEqual(['created', 'joined'])
    await at.take('a write.commit')
    expect(message.outcome).toBeUndefined()
    await at.take('a write.reply')
    expect(message.outcome).toBe('accepted')
  })

  it('commands are decided on staged state, so one batch carries several entries of one conversation', async () => {
    const writes = at.world.owners[0]!.store.calls.write
    const asked = [
      at.ask(send('message 1', 'alice', 0)),
      at.ask(commit('commit', 'alice', 0)),
      at.ask(send('message 2', 'alice', 1)),
    ]
    await at.drain()
    expect(asked.map(({ outcome }) => outcome)).toEqual(['accepted', 'accepted', 'accepted'])
    expect(at.world.owners[0]!.store.calls.write).toBe(writes + 1)
  })
})

describe('G2', () => {
  it('entries are committed in the order decided: nothing of a conversation is sent while its unit is in flight', async () => {
    at.ask(send('message 1', 'alice', 0))
    await at.take('a write.prepare', 'a write.commit')
    at.ask(send('message 2', 'alice', 0))
    expect(await at.pending()).toEqual(['a write.reply'])
    await at.take('a write.reply', 'a write.prepare')
    await at.drain()
    expect(at.log(CONVO).slice(2)).toEqual(['app 1', 'app 2'])
  })

  it('commands that were overtaken keep their place before those that wait', async () => {
    at.failing['a write'] = 'never'
    at.ask(send('message 1', 'alice', 0))
    await at.take('a write.reply')
    at.ask(send('message 2', 'alice', 0))
    at.ask(send('faster', 'bob', 0), 1)
    await at.takeUntil('b write.reply')
    await at.drain()
    expect(contents()).toEqual(['faster', 'message 1', 'message 2'])
  })

  it('commands that were overtaken keep their order', async () => {
    at.ask(send('message 1', 'alice', 0))
    at.ask(send('message 2', 'alice', 0))
    await at.take('a write.prepare')
    at.ask(send('message 3', 'alice', 0))
    at.failing['a write'] = 'rolledBack'
    await at.drain()
    expect(contents()).toEqual(['message 1', 'message 2', 'message 3'])
  })
})

describe('G3', () => {
  it('a failed batch leaves no staged state behind: what was staged on top of it is decided again', async () => {
    at.failing['a write'] = 'rolledBack'
    const first = at.ask(commit('commit 1', 'alice', 0))
    await at.take('a write.prepare')
    const onTop = at.ask(send('message', 'alice', 1))
    await at.take('a write.commit', 'a write.reply')
    const rival = at.ask(commit('commit 2', 'bob', 0), 1)
    await at.takeUntil('b write.reply')
    await at.drain()
    expect([first.outcome, onTop.outcome, rival.outcome]).toEqual(['EpochMismatch', 'accepted', 'accepted'])
  })

  it('what was staged in an emptied batch does not hold on to its claims', async () => {
    const first = at.ask(send('message 1', 'alice', 0))
    await at.pending()
    const onTop = at.ask(send('message 2', 'alice', 0, key('key')))
    await at.take('a facts.snapshot', 'a facts.reply')
    // The other owner's commit makes the unit in flight lose its guard, and both commands stale.
    at.ask(commit('commit', 'bob', 0), 1)
    await at.takeUntil('b write.reply')
    await at.drain()
    expect([first.outcome, onTop.outcome]).toEqual(['EpochMismatch', 'EpochMismatch'])
  })
})

describe('G4', () => {
  it('flushes at once when idle, and collects while a flush runs', async () => {
    const { calls } = at.world.owners[0]!.store
    const before = calls.write
    at.ask(send('message 0', 'alice', 0))
    expect(await at.pending()).toEqual(['a write.prepare'])
    for (let i = 1; i <= 5; i++) {
      at.ask(send(`message ${i}`, 'alice', 0))
      await at.pending()
    }
    await at.drain()
    expect(calls.write).toBe(before + 2)
    expect(at.log(CONVO)).toHaveLength(8)
  })

  it('one row that cannot be stored does not fail the others of its batch', async () => {
    const convoIds = ['01', '02', '03', '04', '05']
    for (const convoId of convoIds) await at.done(create(convoId, 'alice', { convoId, epoch: 0 }))
    const asked = convoIds.map((convoId) => {
      const embedType = convoId === '03' ? POISON : undefined
      return at.ask(send(`to ${convoId}`, 'alice', 0, { convoId, embedType }))
    })
    const neighbour = at.ask(send('neighbour', 'alice', 0, { convoId: '03' }))
    await at.drain()
    expect(asked.map(({ outcome }) => outcome)).toEqual(
      convoIds.map((convoId) => (convoId === '03' ? 'InternalServerError' : 'accepted')),
    )
    expect(neighbour.outcome).toBe('accepted')
  })

  it('a full batch makes commands wait, not fail', async () => {
    await begin({ limits: { batchRows: 2 } })
    const asked = Array.from({ length: 9 }, (_, i) => at.ask(send(`message ${i}`, 'alice', 0)))
    await at.drain()
    expect(asked.every(({ outcome }) => outcome === 'accepted')).toBe(true)
    expect(at.world.counts['batch written']).toBe(6)
  })
})

describe('G5', () => {
  it('stopping takes nothing more and finishes what it has', async () => {
    const message = at.ask(send('message', 'alice', 0))
    await at.take('a write.prepare')
    let isStopped = false
    void at.world
      .shard(0)
      .stop(Number.MAX_SAFE_INTEGER)
      .then(() => {
        isStopped = true
      })
    const late = at.ask(send('late', 'alice', 0))
    await at.pending()
    expect([late.outcome, isStopped]).toEqual(['ShuttingDown', false])
    await at.drain()
    expect([message.outcome, isStopped]).toEqual(['accepted', true])
    expect(at.world.shard(0).actors.size).toBe(0)
  })

  it('what still waits at the deadline is refused, not dropped', async () => {
    at.ask(send('in flight', 'alice', 0, key('key')))
    await at.take('a facts.snapshot', 'a facts.reply', 'a write.prepare')
    const waiting = at.ask(send('waiting', 'alice', 0, key('key', 'other')))
    await at.take('a facts.snapshot', 'a facts.reply')
    void at.world.shard(0).stop(at.world.scheduler.nowMs)
    await at.pending()
    expect(waiting.outcome).toBe('ShuttingDown')
    await at.drain()
  })
})

describe('G6', () => {
  it('a refusal decided on staged state is released only with its batch', async () => {
    at.ask(commit('commit', 'alice', 0))
    const stale = at.ask(send('message', 'alice', 0))
    await at.take('a write.prepare', 'a write.commit')
    expect(stale.outcome).toBeUndefined()
    await at.take('a write.reply')
    expect(stale.outcome).toBe('EpochMismatch')
  })

  it('a refusal on staged state that never became durable is not released', async () => {
    at.failing['a write'] = 'unavailable'
    at.ask(commit('commit', 'alice', 0))
    const stale = at.ask(send('message', 'alice', 0))
    await at.drain()
    expect(stale.outcome).toBe('DatabaseUnavailable')
  })

  it('a refusal that joined a batch already sent waits for a read as well', async () => {
    at.ask(commit('commit 1', 'alice', 0))
    await at.take('a write.prepare', 'a write.commit')
    // Behind the back of the first owner the epoch moves on to 2.
    at.ask(commit('commit 2', 'bob', 1), 1)
    await at.takeUntil('b write.reply')
    const ahead = at.ask(send('message', 'bob', 2))
    await at.drain()
    expect(ahead.outcome).toBe('accepted')
  })

  it('a refusal on durable state waits for a read made after it was decided', async () => {
    const stale = at.ask(send('message', 'alice', 1))
    expect(await at.pending()).toEqual(['a inspect.snapshot'])
    at.ask(commit('commit', 'bob', 0), 1)
    await at.takeUntil('b write.reply')
    await at.drain()
    expect(stale.outcome).toBe('accepted')
  })

  it('a refused commit learns which commit won, whether its refusal was on staged or on durable state', async () => {
    const [winner, rival] = [at.ask(commit('commit 1', 'alice', 0)), at.ask(commit('commit 2', 'bob', 0))]
    await at.drain()
    await at.done(commit('commit 3', 'alice', 1))
    const late = await at.done(commit('commit 4', 'bob', 0))
    expect([winner.outcome, rival.outcome, late.outcome]).toEqual([
      'accepted',
      'EpochMismatch',
      'EpochMismatch',
    ])
    const named = at.world.history
      .map(({ reply }) => reply && !reply.ok && reply.refusal.details?.winningCommit)
      .filter((found) => found)
    expect(named).toMatchObject([
      { seq: 1, epoch: 1 },
      { seq: 1, epoch: 1 },
    ])
  })
})

describe('G7', () => {
  it.each(['before', 'between', 'after'])(
    'a write whose connection was lost takes effect once when the old backend commits %s',
    async (when) => {
      at.failing['a write'] = 'lost'
      const message = at.ask(send('message', 'alice', 0))
      const old = ['a~ write.prepare', 'a~ write.commit']
      if (when === 'before') await at.take(...old, 'a write.reply')
      else await at.take('a write.reply')
      await at.take('a timer', 'a write.prepare')
      if (when === 'between') await at.take('a~ write.prepare', 'a write.commit', 'a~ write.commit')
      if (when === 'after') await at.take('a write.commit', ...old)
      await at.drain()
      expect(message.outcome).toBe('accepted')
      expect(at.log(CONVO).slice(2)).toEqual(['app 1'])
    },
  )

  it('a command in doubt is refused only after a later guard or read: another won in between', async () => {
    at.failing['a write'] = 'never'
    const mine = at.ask(commit('commit 1', 'alice', 0))
    await at.take('a write.reply')
    expect(mine.outcome).toBeUndefined()
    at.ask(commit('commit 2', 'bob', 0), 1)
    await at.takeUntil('b write.reply')
    await at.drain()
    expect(mine.outcome).toBe('EpochMismatch')
  })

  it('a command keeps its entry id over all its tries', async () => {
    at.failing['a write'] = 'rolledBack'
    const message = at.ask(send('message', 'alice', 0))
    await at.drain()
    const created = at.world.database.convo(CONVO).log[0]!.entry_id
    // Ids are counted: the next one after that of the creation.
    expect(Number(String(message.answer.messageId).slice(-4))).toBe(Number(created.slice(-4)) + 1)
  })

  it('is OutcomeUnknown when the old backend sleeps on the row for too long', async () => {
    at.failing['a write'] = 'held'
    const message = at.ask(send('message', 'alice', 0))
    await at.drain()
    expect(message.outcome).toBe('OutcomeUnknown')
    expect(at.log(CONVO).slice(2)).toEqual(['app 1'])
  })

  it('takes no command of a conversation in doubt, while others go on', async () => {
    await at.done(create('other', 'alice', { convoId: '0b', epoch: 0 }))
    at.failing['a write'] = 'lost'
    at.ask(send('message 1', 'alice', 0))
    await at.take('a write.reply', 'a~ write.prepare')
    const waiting = at.ask(send('message 2', 'alice', 0))
    const other = at.ask(send('message 3', 'alice', 0, { convoId: '0b' }))
    await at.take('a write.prepare', 'a write.commit', 'a write.reply')
    expect([waiting.outcome, other.outcome]).toEqual([undefined, 'accepted'])
    await at.drain()
    expect(waiting.outcome).toBe('accepted')
  })

  it('a refusal can join the unit that was in doubt', async () => {
    await at.done(commit('commit 1', 'alice', 0))
    at.ask(commit('commit 2', 'alice', 1))
    const stale = at.ask(commit('commit 3', 'bob', 0))
    at.failing['a write'] = 'lost'
    await at.take('a~ write.prepare', 'a~ write.commit', 'a write.reply', 'a timer')
    await at.take(
      'a write.prepare',
      'a write.commit',
      'a write.reply',
      'a inspect.snapshot',
      'a inspect.reply',
    )
    // The winner of epoch 0 is being looked up; another refusal comes meanwhile.
    const later = at.ask(commit('commit 4', 'bob', 0))
    await at.drain()
    expect([stale.outcome, later.outcome]).toEqual(['EpochMismatch', 'EpochMismatch'])
  })
})

describe('G7 under the row lock', () => {
  const packages = {
    initialMembers: ['did:plc:bob'],
    keyPackages: [{ did: 'did:plc:bob', hash: 'hash-first' }],
    epoch: 0,
    convoId: '0b',
  }

  beforeEach(() => begin({ owners: ['direct', 'direct'] }))

  it('a creation whose old backend still holds its guards is OutcomeUnknown, not refused', async () => {
    at.failing['a locked'] = 'held'
    const creation = at.ask(create('other', 'alice', packages))
    await at.drain()
    expect(creation.outcome).toBe('OutcomeUnknown')
    expect(at.log('0b')).toEqual(['created', 'joined'])
  })

  it('a creation is not told GroupIdTaken because of its own write', async () => {
    at.failing['a locked'] = 'lost'
    const creation = at.ask(create('other', 'alice', { convoId: '0b', epoch: 0 }))
    await at.take('a locked.lock', 'a locked.load', 'a locked.reply', 'a~ locked.prepare')
    // The next try finds nothing; then the old backend commits; then the try reads.
    await at.take('a timer', 'a locked.lock', 'a locked.inspect', 'a locked.lock', 'a~ locked.commit')
    await at.drain()
    expect(creation.outcome).toBe('accepted')
  })

  it('says of a write that took effect what its rows say', async () => {
    at.failing['a locked'] = 'lost'
    const creation = at.ask(create('other', 'alice', { convoId: '0b', epoch: 0 }))
    await at.take('a locked.lock', 'a locked.load', 'a locked.reply', 'a~ locked.prepare', 'a timer')
    await at.take('a locked.lock', 'a locked.inspect', 'a locked.lock', 'a locked.load', 'a locked.prepare')
    await at.drain()
    const { created_at } = at.world.database.convo('0b').log[0]!
    expect(creation.answer.createdAt).toBe(created_at)
  })
})

describe('G8', () => {
  it('ten concurrent first commands start one actor with one read', async () => {
    await begin()
    const other = at.world.owners[1]!
    const asked = Array.from({ length: 10 }, (_, i) => at.ask(send(`message ${i}`, 'alice', 0), 1))
    await at.drain()
    expect(asked.every(({ outcome }) => outcome === 'accepted')).toBe(true)
    expect(other.store.calls).toMatchObject({ load: 1, write: 1 })
    expect(at.world.shard(1).actors.size).toBe(1)
  })

  it('commands that come while the actor reads its state wait for that read', async () => {
    at.ask(send('message 1', 'alice', 0), 1)
    await at.take('b load.snapshot')
    at.ask(send('message 2', 'alice', 0), 1)
    await at.drain()
    expect(at.world.owners[1]!.store.calls.load).toBe(1)
  })
})

describe('G9', () => {
  it('a full mailbox refuses: Overloaded', async () => {
    await begin({ limits: { mailboxCommands: 3 } })
    const asked = Array.from({ length: 5 }, (_, i) => at.ask(send(`message ${i}`, 'alice', 0)))
    await at.drain()
    expect(asked.map(({ outcome }) => outcome)).toEqual([
      ...Array.from({ length: 3 }, () => 'accepted'),
      'Overloaded',
      'Overloaded',
    ])
  })

  it('a mailbox is bounded in bytes too', async () => {
    await begin({ limits: { mailboxBytes: 250 } })
    const asked = Array.from({ length: 4 }, (_, i) => at.ask(send(`message ${i}`, 'alice', 0)))
    await at.drain()
    expect(asked.map(({ outcome }) => outcome)).toEqual(['accepted', 'accepted', 'accepted', 'Overloaded'])
  })

  it('a command whose deadline has passed is dropped unexecuted', async () => {
    const { scheduler } = at.world
    const late = at.ask(send('message', 'alice', 0, { deadlineMs: scheduler.nowMs + 100 }), 1)
    await at.take('b load.snapshot')
    scheduler.nowMs += 100
    await at.drain()
    expect(late.outcome).toBe('Overloaded')
    expect(at.log(CONVO)).toEqual(['created', 'joined'])
  })

  it('also when it would have run under the lock', async () => {
    const { scheduler } = at.world
    const late = at.ask(send('message', 'alice', 0, { deadlineMs: scheduler.nowMs + 100 }))
    for (let i = 0; i < 3; i++) await overtake(i)
    scheduler.nowMs += 100
    await at.drain()
    expect(late.outcome).toBe('Overloaded')
  })

  it('a hot conversation does not starve the others', async () => {
    await at.done(create('other', 'alice', { convoId: '0b', epoch: 0 }))
    const hot = Array.from({ length: 500 }, (_, i) => at.ask(send(`message ${i}`, 'alice', 0)))
    const cold = at.ask(send('cold', 'alice', 0, { convoId: '0b' }))
    while (cold.outcome === undefined) await at.takeUntil('a write.reply')
    const answered = hot.filter(({ outcome }) => outcome).length
    expect(cold.outcome).toBe('accepted')
    // Its turn, and the next that was on its way when the other conversation's write began.
    expect(answered).toBeLessThanOrEqual(64)
    await at.drain()
  })
})

describe('G10', () => {
  it('actors are passivated after idle time', async () => {
    const shard = at.world.shard(0)
    shard.sweep()
    expect(shard.actors.size).toBe(1)
    at.world.scheduler.nowMs += 1000
    shard.sweep()
    expect(shard.actors.size).toBe(0)
    expect((await at.done(send('message', 'alice', 0))).outcome).toBe('accepted')
  })

  it('the least recently used go when there are more than the cap', async () => {
    for (const convoId of ['01', '02']) await at.done(create(convoId, 'alice', { convoId, epoch: 0 }))
    await at.done(send('message', 'alice', 0, { convoId: '01' }))
    await at.done(create('03', 'alice', { convoId: '03', epoch: 0 }))
    const resident = [...at.world.shard(0).actors.values()].map(({ convoId }) => convoId)
    expect(resident).toEqual(['01', '03'])
  })

  it('never with staged state', async () => {
    const shard = at.world.shard(0)
    at.ask(send('message', 'alice', 0))
    await at.take('a write.prepare')
    at.world.scheduler.nowMs += 10_000
    shard.sweep()
    for (const convoId of ['01', '02', '03']) at.ask(create(convoId, 'alice', { convoId, epoch: 0 }))
    await at.take('a load.snapshot', 'a load.reply')
    expect(shard.actors.peek(CONVO)).toBeDefined()
    await at.drain()
    expect(shard.actors.size).toBe(2)
  })
})

describe('G13', () => {
  it('a batch does not wait for a row that another holds: the rest of it is written', async () => {
    await at.done(create('other', 'alice', { convoId: '0b', epoch: 0 }))
    at.ask(send('holder', 'bob', 0), 1)
    await at.takeUntil('b write.prepare')
    const skipped = at.ask(send('message 1', 'alice', 0))
    const written = at.ask(send('message 2', 'alice', 0, { convoId: '0b' }))
    await at.takeUntil('a write.reply')
    expect([skipped.outcome, written.outcome]).toEqual([undefined, 'accepted'])
    await at.drain()
    expect(skipped.outcome).toBe('accepted')
  })

  it('after three lost guards a command runs under the row lock, so that it gets its turn', async () => {
    const slow = at.ask(send('slow', 'alice', 0))
    for (let i = 0; i < 3; i++) await overtake(i)
    expect(at.world.owners[0]!.store.calls.locked).toBe(0)
    await at.drain()
    expect(slow.outcome).toBe('accepted')
    expect(at.world.owners[0]!.store.calls.locked).toBe(1)
  })

  it('a known failure is tried again', async () => {
    at.failing['a write'] = 'rolledBack'
    expect((await at.done(send('message', 'alice', 0))).outcome).toBe('accepted')
  })
})

describe('G14', () => {
  it('a repeated key is answered once for all, also when concurrent and through another owner', async () => {
    const again = () => send('message', 'alice', 0, key('key'))
    const asked = [at.ask(again()), at.ask(again()), at.ask(again(), 1)]
    await at.drain()
    expect(asked.map(({ outcome }) => outcome)).toEqual(['accepted', 'accepted', 'accepted'])
    expect(new Set(asked.map(({ answer }) => answer.messageId)).size).toBe(1)
    expect(at.log(CONVO).slice(2)).toEqual(['app 1'])
  })

  it('a repeat is answered after the caller has left and the epoch has moved', async () => {
    const first = await at.done(send('message', 'bob', 0, key('key')))
    await at.done(leave('departure', 'bob'))
    await at.done(commit('commit', 'alice', 0))
    const again = await at.done(send('message', 'bob', 0, key('key')))
    expect(again.answer).toEqual(first.answer)
  })

  it('a repeat is recognised when its facts were read before the first was durable', async () => {
    const first = at.ask(commit('commit', 'alice', 0, key('key')))
    await at.take('a facts.snapshot', 'a facts.reply')
    const again = at.ask(commit('commit', 'alice', 0, key('key')))
    await at.pending()
    // The facts of the repeat are old when they arrive: the first has been answered in between.
    await at.take('a facts.snapshot', 'a write.prepare', 'a write.commit', 'a write.reply', 'a facts.reply')
    await at.drain()
    expect([first.outcome, again.outcome]).toEqual(['accepted', 'accepted'])
  })

  it('a message id stands for one message', async () => {
    const message = { id: 'm', contentHash: 'one' }
    const first = at.ask(send('message', 'alice', 0, { message }))
    const same = at.ask(send('message', 'alice', 0, { message }), 1)
    await at.drain()
    const other = await at.done(send('other', 'alice', 0, { message: { ...message, contentHash: 'two' } }))
    expect([first.outcome, same.outcome, other.outcome]).toEqual([
      'accepted',
      'accepted',
      'IdempotencyConflict',
    ])
  })

  it('a key package is for one conversation, by whichever of its names it is called', async () => {
    const names = ['hash-first', 'ref-first']
    const asked = names.map((hash, i) => {
      const keyPackages = [{ did: 'did:plc:bob', hash }]
      const more = { convoId: `1${i}`, initialMembers: ['did:plc:bob'], keyPackages, epoch: 0 }
      return at.ask(create(`creation ${i}`, 'alice', more))
    })
    await at.drain()
    expect(asked.map(({ outcome }) => outcome)).toEqual(['accepted', 'KeyPackageNotFound'])
  })
})
