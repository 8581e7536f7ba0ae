import type { Reply } from '@catbird/shared/commands'
import type { ErrorName } from '@catbird/shared/errors'
import { beforeAll, describe, expect, it } from 'vitest'
import { checkHistory } from './check-history.ts'
import { publishedKeyPackages } from './command-maker.ts'
import { add, commit, create, leave, remove, send } from './commands.ts'
import type { Exchange, StoredDatabase, StoredRow } from './history.ts'
import { POLICY, SimWorld } from './sim-world.ts'
import { storedDatabase } from './stored-database.ts'

type History = { history: Exchange[]; database: StoredDatabase }

let honest: History

/** A conversation with everything in it, and what its clients were told. */
beforeAll(async () => {
  const world = new SimWorld({ owners: ['actor'], msPerStep: 1, keyPackages: publishedKeyPackages() })
  const packages = [{ did: 'did:plc:bob', hash: 'hash-first' }]
  const welcome = { bytes: Buffer.from('welcome'), newMembers: ['ref-first'] }
  const script = [
    create('creation', 'did:plc:alice', {
      initialMembers: ['did:plc:bob'],
      keyPackages: packages,
      welcome,
      epoch: 0,
    }),
    commit('commit 1', 'did:plc:alice', 0, { dids: ['did:plc:carol'] }),
    commit('late commit', 'did:plc:bob', 0),
    send('message 1', 'did:plc:bob', 1, { idempotency: { key: 'k', contentHash: 'one' } }),
    send('message 1', 'did:plc:bob', 1, { idempotency: { key: 'k', contentHash: 'one' } }),
    send('other', 'did:plc:bob', 1, { idempotency: { key: 'k', contentHash: 'two' } }),
    send('message 2', 'did:plc:carol', 1, { message: { id: 'm', contentHash: 'three' } }),
    leave('departure', 'did:plc:carol'),
    send('message 3', 'did:plc:carol', 1),
    send('message 4', 'did:plc:mallory', 1),
    remove('removal', 'did:plc:alice', 'did:plc:bob', 1),
    add('return', 'did:plc:alice', ['did:plc:bob'], 2),
  ]
  for (const command of script) {
    void world.submit(0, command)
    await world.scheduler.run(() => 0)
  }
  honest = { history: world.history, database: storedDatabase(world.database) }
})

function check({ history, database }: History): string {
  return checkHistory(history, database, { ...POLICY, mustNameWinners: true }).join('\n')
}

function damaged(damage: (copy: History) => void): string {
  const copy = structuredClone(honest)
  damage(copy)
  return check(copy)
}

/** As a database read over HTTP would be: nobody knows when a row became visible. */
function withoutTimes(history: History): History {
  const copy = structuredClone(history)
  for (const row of copy.database.rows) row.committedAt = undefined
  return copy
}

function row({ database }: History, n: number): StoredRow {
  return database.rows[n - 1]!
}

function exchange({ history }: History, requestId: string): Exchange {
  return history.find(({ command }) => command.requestId === requestId)!
}

function refuse(to: Exchange, error: ErrorName): void {
  to.reply = { ok: false, refusal: { error, message: '' } }
}

function answer(reply: Reply | undefined): Record<string, unknown> {
  return (reply as { answer: Record<string, unknown> }).answer
}

describe('an honest history', () => {
  it('has every kind of row and reply that is damaged here', () => {
    const kinds = honest.database.rows.map(({ kind }) => kind)
    expect(kinds.join(' ')).toBe('created joined welcome commit app app left commit commit')
    const outcomes = honest.history.map(({ reply }) => (reply?.ok ? 'ok' : reply?.refusal.error))
    expect(outcomes.filter((outcome) => outcome !== 'ok')).toEqual([
      'EpochMismatch',
      'IdempotencyConflict',
      'NotMember',
      'ConvoNotFound',
    ])
  })

  it('passes, with and without commit times', () => {
    expect(check(honest)).toBe('')
    expect(check(withoutTimes(honest))).toBe('')
  })

  it('passes when it is unknown what became of a command that took effect', () => {
    expect(damaged((h) => refuse(exchange(h, 'commit 1'), 'OutcomeUnknown'))).toBe('')
    expect(damaged((h) => Object.assign(exchange(h, 'departure'), { reply: undefined }))).toBe('')
  })

  it('passes when it is unknown what became of a command that did not', () => {
    expect(damaged((h) => refuse(exchange(h, 'message 4'), 'OutcomeUnknown'))).toBe('')
  })
})

describe('a damaged log', () => {
  it.each<[string, (h: History) => void, RegExp]>([
    ['a lost row', (h) => h.database.rows.splice(4, 1), /gap|not in the log/],
    ['a doubled row', (h) => h.database.rows.push(structuredClone(row(h, 5))), /gap or a double/],
    ['a lost tail', (h) => h.database.rows.pop(), /not in the log/],
    ['a gap in seq', (h) => Object.assign(row(h, 9), { seq: 6 }), /seq 6, 5 expected/],
    ['two rows of one seq', (h) => Object.assign(row(h, 6), { seq: 2 }), /seq 2, 3 expected/],
    ['a seq on a row that is no entry', (h) => Object.assign(row(h, 7), { seq: 4 }), /left with seq/],
    [
      'changed bytes',
      (h) => Object.assign(row(h, 5), { bytes: Buffer.from('forged') }),
      /log chain is broken/,
    ],
    ['a changed sender', (h) => Object.assign(row(h, 6), { sender: 'did:plc:bob' }), /not in the log/],
    ['a changed chain', (h) => Object.assign(row(h, 5), { logHash: '00' }), /log chain is broken/],
    [
      'time that runs backwards',
      (h) => Object.assign(row(h, 6), { createdAtMs: 0 }),
      /createdAt goes backwards/,
    ],
    ['a skipped epoch', (h) => Object.assign(row(h, 9), { epoch: 4 }), /commit epoch 4, 3 expected/],
    [
      'two commits for one epoch',
      (h) => Object.assign(row(h, 9), { epoch: 2 }),
      /commit epoch 2, 3 expected/,
    ],
    ['a commit without its bytes', (h) => Object.assign(row(h, 8), { bytes: undefined }), /without bytes/],
    ['a member added that nobody named', (h) => row(h, 4).added!.push('did:plc:eve'), /adds .*eve/],
    ['a removal left out', (h) => Object.assign(row(h, 8), { removed: [] }), /removes {2}instead of/],
    [
      'a Welcome without its commit',
      (h) => Object.assign(row(h, 3), { entryId: 'x' }),
      /have written welcome/,
    ],
    [
      'two rows exchanged',
      (h) => {
        Object.assign(row(h, 5), { n: 6 })
        Object.assign(h.database.rows[5]!, { n: 5 })
      },
      /seq 3, 2 expected/,
    ],
  ])('shows %s', (_what, damage, found) => {
    expect(damaged(damage)).toMatch(found)
  })
})

describe('a lying server', () => {
  it.each<[string, (h: History) => void, RegExp]>([
    ['a reply before COMMIT', (h) => Object.assign(row(h, 4), { committedAt: 10_000 }), /before COMMIT/],
    [
      'a row older than its request',
      (h) => Object.assign(row(h, 5), { committedAt: 1 }),
      /nobody whose request/,
    ],
    [
      'a refusal of what is stored',
      (h) => refuse(exchange(h, 'message 2'), 'EpochMismatch'),
      /nobody whose request/,
    ],
    [
      'a 503 for what is stored',
      (h) => refuse(exchange(h, 'removal'), 'DatabaseUnavailable'),
      /nobody whose request/,
    ],
    ['an acceptance of what is not', accept, /not in the log/],
    [
      'another seq',
      (h) => Object.assign(answer(exchange(h, 'message 2').reply), { seq: 2 }),
      /not in the log/,
    ],
    [
      'another epoch',
      (h) => Object.assign(answer(exchange(h, 'commit 1').reply), { newEpoch: 2 }),
      /newEpoch=2/,
    ],
    [
      'another chain',
      (h) => Object.assign(answer(exchange(h, 'return').reply), { logHash: '1' }),
      /logHash=1/,
    ],
    [
      'another answer to a repeat',
      (h) => Object.assign(answer(h.history[4]!.reply), { receivedAt: '' }),
      /receivedAt=/,
    ],
    ['one row for two commands', (h) => shareRow(h), /the rows of another command/],
    ['a refusal that was never true', (h) => refuse(exchange(h, 'message 4'), 'NotMember'), /was never true/],
    ['a wrong reason', (h) => refuse(exchange(h, 'late commit'), 'CommitRequired'), /was never true/],
    ['a refusal from before the request', outdated, /was never true/],
    ['a repeat that is refused', (h) => refuse(h.history[4]!, 'EpochMismatch'), /was never true/],
    [
      'a conflict where there is none',
      (h) => refuse(exchange(h, 'message 3'), 'IdempotencyConflict'),
      /never true/,
    ],
    [
      'a winner that did not win',
      (h) => Object.assign(details(h), { winningCommit: { seq: 4, epoch: 1 } }),
      /winner/,
    ],
    [
      'a winner that is not named',
      (h) => Object.assign(details(h), { winningCommit: undefined }),
      /does not name/,
    ],
    ['a wrong server epoch', (h) => Object.assign(details(h), { serverEpoch: 3 }), /was never true/],
  ])('is caught with %s', (_what, damage, found) => {
    expect(damaged(damage)).toMatch(found)
  })

  it('is caught without commit times when a refusal is older than what the caller had seen', () => {
    const copy = withoutTimes(honest)
    outdated(copy)
    expect(check(copy)).toMatch(/was never true/)
  })

  function details(h: History): Record<string, unknown> {
    return (exchange(h, 'late commit').reply as { refusal: { details: Record<string, unknown> } }).refusal
      .details
  }

  function accept(h: History): void {
    exchange(h, 'message 4').reply = { ok: true, answer: { messageId: 'x', seq: 9, epoch: 1 } }
  }

  function shareRow(h: History): void {
    const second = exchange(h, 'message 3')
    const first = exchange(h, 'message 2')
    h.history.push({ ...structuredClone(first), command: { ...first.command, message: undefined } as never })
    second.reply = first.reply
  }

  /** True once, but not any more when the message was sent. */
  function outdated(h: History): void {
    const late = exchange(h, 'message 1')
    const repeat = { ...structuredClone(late), command: send('new', 'did:plc:bob', 1) }
    repeat.reply = {
      ok: false,
      refusal: { error: 'EpochMismatch', message: '', details: { serverEpoch: 0, expectedEpoch: 1 } },
    }
    h.history.push(repeat)
  }
})

describe('damaged tables', () => {
  it.each<[string, (h: History) => void, RegExp]>([
    ['a head behind its log', (h) => Object.assign(h.database.heads[0]!, { epoch: 2 }), /head epoch 2/],
    ['a head with another seq', (h) => Object.assign(h.database.heads[0]!, { seq: 9 }), /head seq 9/],
    [
      'a head with another version',
      (h) => Object.assign(h.database.heads[0]!, { version: 3 }),
      /head version 3/,
    ],
    [
      'a head with another creator',
      (h) => Object.assign(h.database.heads[0]!, { creator: 'x' }),
      /creator x/,
    ],
    [
      'a head with another chain',
      (h) => Object.assign(h.database.heads[0]!, { logHash: 'x' }),
      /another log hash/,
    ],
    ['a lost head', (h) => h.database.heads.pop(), /a log without a head/],
    ['a lost interval', (h) => h.database.intervals.pop(), /no interval/],
    ['a member that never left', (h) => delete interval(h).leftN, /wrong interval/],
    ['an interval that ends too late', (h) => Object.assign(interval(h), { toSeq: 9 }), /wrong interval/],
    ['a lost Welcome', (h) => h.database.welcomes.pop(), /Welcome for .* is not there/],
    ['a Welcome from nowhere', welcomeFromNowhere, /that no accepted command brought/],
    ['a package consumed by another', (h) => consume(h, '0b'), /consumed by 0b, used by 0a/],
    ['a package that is still free', (h) => consume(h, null), /consumed by null, used by 0a/],
    ['a lost record', (h) => h.database.records.pop(), /is not recorded|nobody whose/],
    ['a record for nothing', recordForNothing, /recorded for nothing/],
  ])('show %s', (_what, damage, found) => {
    expect(damaged(damage)).toMatch(found)
  })

  function interval({ database }: History) {
    return database.intervals.find(({ leftN }) => leftN !== undefined)!
  }

  function welcomeFromNowhere({ database }: History): void {
    database.welcomes.push({ ...database.welcomes[0]!, n: 4, did: 'did:plc:carol' })
  }

  function recordForNothing({ database }: History): void {
    database.records.push({ ...database.records[0]!, key: 'other' })
  }

  function consume({ database }: History, by: string | null): void {
    for (const row of database.keyPackages) if (row.did === 'did:plc:bob') row.consumedBy = by
  }
})
