import { HISTORIES, invariant, test } from './killers.ts'
import type { Mutant } from './mutant.ts'

const STORE = 'packages/shard-worker/src/store'

const writeUnits = (filter: string) => test(`${STORE}/write-units.test.ts`, filter)
const pgStore = (filter: string) => test(`${STORE}/pg-store.test.ts`, filter)
const writeMembership = (filter: string) => test(`${STORE}/write-membership.test.ts`, filter)
const FAILURES = test(`${STORE}/failures.test.ts`)
const RUN_LOCKED = test(`${STORE}/run-locked.test.ts`)
const FOLD = test(`${STORE}/fold-units.test.ts`)

/** What the database is asked to do, and how its failures are read. */
export const STORE_MUTANTS: Mutant[] = [
  {
    name: 'the batch statement has no version guard',
    file: `${STORE}/write-units.ts`,
    find: 'join conversations c on c.convo_id = h.convo_id and c.version = h.expected_version',
    replace: 'join conversations c on c.convo_id = h.convo_id',
    also: {
      find: 'where c.convo_id = h.convo_id and c.version = h.expected_version',
      replace: 'where c.convo_id = h.convo_id',
    },
    killer: writeUnits('writes nothing of a conversation whose version has moved on'),
  },
  {
    name: 'a batch waits for a conversation that somebody holds',
    file: `${STORE}/write-units.ts`,
    find: 'for no key update of c skip locked',
    replace: 'for no key update of c',
    killer: writeUnits('G13 skips a conversation that somebody holds'),
  },
  {
    name: 'the batch statement does not look at idempotency keys',
    file: `${STORE}/write-units.ts`,
    find: 'where r.convo_id = h.convo_id)',
    replace: 'where r.convo_id is null)',
    killer: writeUnits('G14 writes nothing when the idempotency key is recorded'),
  },
  {
    name: 'the batch statement does not look at used tokens',
    file: `${STORE}/write-units.ts`,
    find: 'where t.convo_id = h.convo_id)\n        ${',
    replace: 'where t.convo_id is null)\n        ${',
    killer: writeUnits('G14 writes nothing when the token has been used'),
  },
  {
    name: 'tokens are used by what was not written',
    file: `${STORE}/write-units.ts`,
    find: 'select hash, expires_at from token join written w using (convo_id)',
    replace: 'select hash, expires_at from token',
    killer: writeUnits('G14 leaves a token unused when nothing was written'),
  },
  {
    name: 'tokens are not noted as used',
    file: `${STORE}/fold-units.ts`,
    find: 'if (change.tokenUse) {',
    replace: 'if (change.tokenUse && !change.tokenUse) {',
    killer: HISTORIES,
  },
  {
    name: 'the lock does not look for used tokens',
    file: `${STORE}/run-locked.ts`,
    find: 'hasLostGuard: tries > 0',
    replace: 'hasLostGuard: false',
    killer: pgStore('G14 executeLocked names a token'),
  },
  {
    name: 'the batch statement does not look at key packages',
    file: `${STORE}/write-units.ts`,
    find: 'and not exists (select from taken t where t.convo_id = h.convo_id and not t.is_free)',
    replace: '',
    killer: writeUnits('consumes a key package for the first conversation'),
  },
  {
    name: 'a batch waits for a key package that somebody holds',
    file: `${STORE}/write-membership.ts`,
    find: 'for update skip locked',
    replace: 'for update',
    killer: writeUnits('does not wait for a key package'),
  },
  {
    name: 'key packages stay free',
    file: `${STORE}/write-membership.ts`,
    find: 'set consumed_by = t.convo_id, consumed_at',
    replace: 'set consumed_at',
    killer: writeUnits('consumes a key package for the first conversation'),
  },
  {
    name: 'an interval opens before the former one is closed',
    file: `${STORE}/write-membership.ts`,
    find: 'where (select count(*) from closed) is not null',
    replace: '',
    killer: writeUnits('stores a member that left and came back'),
  },
  {
    name: 'the Welcome of a refused commit is kept',
    file: `${STORE}/write-membership.ts`,
    find: `as b(entry_id uuid, convo_id text, bytes text)
      join written w using (convo_id)`,
    replace: 'as b(entry_id uuid, convo_id text, bytes text)',
    also: {
      find: `created_at timestamptz, withdrawn_n bigint)
      join written w using (convo_id)`,
      replace: 'created_at timestamptz, withdrawn_n bigint)',
    },
    killer: writeMembership('keeps no Welcome'),
  },
  {
    name: 'a key package is consumed by a commit that lost',
    file: `${STORE}/write-membership.ts`,
    find: 'from taken t join written w using (convo_id)',
    replace: 'from taken t',
    killer: writeMembership('keeps no Welcome'),
  },
  {
    name: 'members are moved by a commit that lost',
    file: `${STORE}/write-membership.ts`,
    find: `left_n bigint, joined_at timestamptz, left_at timestamptz)
      join written w using (convo_id)`,
    replace: 'left_n bigint, joined_at timestamptz, left_at timestamptz)',
    killer: writeMembership('keeps no Welcome'),
  },
  {
    name: 'a Welcome is not withdrawn from who leaves',
    file: `${STORE}/membership-fold.ts`,
    find: 'this.#withdraw(row.n, did)\n',
    replace: '\n',
    killer: FOLD,
  },
  {
    name: 'a Welcome that came and went in one batch stays',
    file: `${STORE}/membership-fold.ts`,
    find: 'welcome.withdrawn_n ??= n',
    replace: 'welcome.withdrawn_n ??= undefined',
    killer: FOLD,
  },
  {
    name: 'a new member reads from one entry too late',
    file: `${STORE}/membership-fold.ts`,
    find: 'from_seq: row.seq ?? 1',
    replace: 'from_seq: (row.seq ?? 0) + 1',
    killer: HISTORIES,
  },
  {
    name: 'a member who left reads one entry too many',
    file: `${STORE}/membership-fold.ts`,
    find: 'to_seq: row.seq ?? this.#seq',
    replace: 'to_seq: row.seq ?? this.#seq + 1',
    killer: HISTORIES,
  },
  {
    name: 'an interval that opens and closes in one batch stays open',
    file: `${STORE}/membership-fold.ts`,
    find: 'if (opened) Object.assign(opened, end)',
    replace: 'if (opened) opened.left_at = end.left_at',
    killer: HISTORIES,
  },
  {
    name: 'key packages are locked in any order',
    file: `${STORE}/fold-units.ts`,
    find: 'batch.keyPackages.sort((a, b) => compare(a.did, b.did) || compare(a.hash, b.hash))',
    replace: '',
    killer: FOLD,
  },
  {
    name: 'members lose the order of standing',
    file: `${STORE}/load-conversations.ts`,
    find: 'order by joined_n, joined_index',
    replace: 'order by did desc',
    killer: writeMembership('loads members in the order of standing'),
  },
  {
    name: 'the commit before the one that won is named',
    file: `${STORE}/inspect.ts`,
    find: 'winnerOf + 1',
    replace: 'winnerOf',
    killer: writeMembership('names the real commit'),
  },
  {
    name: 'a command under the lock does not lock',
    file: `${STORE}/execute-locked.ts`,
    find: 'await transaction.lock(convoId)',
    replace: '',
    killer: RUN_LOCKED,
  },
  {
    name: "the lock is not the row's",
    file: `${STORE}/load-conversations.ts`,
    find: ' for no key update`',
    replace: '`',
    killer: pgStore('executeLocked waits for the row'),
  },
  {
    name: 'a command under the lock does not look for its own earlier write',
    file: `${STORE}/run-locked.ts`,
    find: 'if (before) return before',
    replace: '',
    killer: RUN_LOCKED,
  },
  {
    name: 'a command under the lock is refused because of its own earlier write',
    file: `${STORE}/run-locked.ts`,
    find: 'return (await findWrite(transaction, command.convoId, context.entryId, sent)) ?? result',
    replace: 'return result',
    killer: RUN_LOCKED,
  },
  {
    name: 'a refused connection ends the doubt about the write before it',
    file: `${STORE}/run-locked.ts`,
    find: 'lost = doubt ?? (error',
    replace: 'lost = (error',
    killer: RUN_LOCKED,
  },
  {
    name: 'a command under the lock gives up in doubt',
    file: `${STORE}/run-locked.ts`,
    find: 'lost = doubt\n',
    replace: 'lost = undefined\n',
    killer: HISTORIES,
  },
  {
    name: 'a command under the lock has another entry id on each try',
    file: `${STORE}/run-locked.ts`,
    find: 'executeLocked(transaction, command, context, context.hasLostGuard, onWrite)',
    replace:
      'executeLocked(transaction, command, { ...context, entryId: crypto.randomUUID() }, context.hasLostGuard, onWrite)',
    killer: HISTORIES,
  },
  {
    name: 'a command under the lock has another time on each try',
    file: `${STORE}/run-locked.ts`,
    find: '{ ...context, hasLostGuard: tries > 0 }',
    replace: '{ ...context, nowMs: clock.now(), hasLostGuard: tries > 0 }',
    killer: invariant('G7 under the row lock'),
  },
  {
    name: 'a command under the lock has no deadline',
    file: `${STORE}/run-locked.ts`,
    find: 'tries < TRIES && clock.now() < command.deadlineMs',
    replace: 'tries < TRIES',
    killer: invariant('G9'),
  },
  {
    name: 'a connection that broke counts as rolled back',
    file: `${STORE}/failures.ts`,
    find: ' || !/^[0-9A-Z]{5}$/.test(code)',
    replace: '',
    killer: FAILURES,
  },
  {
    name: 'a session that was ended counts as rolled back',
    file: `${STORE}/failures.ts`,
    find: '/^(57P|08)/.test(code) || ',
    replace: '',
    killer: FAILURES,
  },
  {
    name: 'an error without a code counts as rolled back',
    file: `${STORE}/failures.ts`,
    find: "if (code === undefined) return 'unknown'",
    replace: "if (code === undefined) return 'rolledBack'",
    killer: FAILURES,
  },
  {
    name: 'a concurrent duplicate counts as a faulty row',
    file: `${STORE}/failures.ts`,
    find: "  '23505', // unique_violation",
    replace: '  // unique_violation',
    killer: FAILURES,
  },
]
