import { test } from './killers.ts'
import type { Mutant } from './mutant.ts'

const EVENTS = 'packages/api/src/events'

const TAIL = test(`${EVENTS}/read-tail.test.ts`)
const BACKFILL = test(`${EVENTS}/backfill.test.ts`)
const TAILER = test(`${EVENTS}/tailer.test.ts`)
const STREAM = test(`${EVENTS}/stream.test.ts`)
const CURSOR = test(`${EVENTS}/stream-cursor.test.ts`)
const SNAPSHOT = test(`${EVENTS}/snapshot.test.ts`)
const WRITE_UNITS = test('packages/shard-worker/src/store/write-units.test.ts', 'position above|is over')
const OUTBOX = test(`${EVENTS}/outbox.test.ts`)

/** What streams are told, to whom, and where they go on. */
export const STREAM_MUTANTS: Mutant[] = [
  {
    name: 'a position may fall below the one before it',
    file: 'packages/shard-worker/src/store/write-units.ts',
    find: `and (c.incarnation <> \${incarnation} or c.pos < pg_current_xact_id()::text::bigint)`,
    replace: '',
    killer: WRITE_UNITS,
  },
  {
    name: 'positions of another life of the database compare',
    file: 'packages/shard-worker/src/store/write-units.ts',
    find: `and (c.incarnation <> \${incarnation} or c.pos <`,
    replace: 'and (c.pos <',
    killer: WRITE_UNITS,
  },
  {
    name: 'a process writes on after the database was restored',
    file: 'packages/shard-worker/src/store/write-units.ts',
    find: `not exists (select from incarnations where incarnation > \${incarnation})`,
    replace: 'true',
    killer: WRITE_UNITS,
  },
  {
    name: 'an id counts as seen that may be given out again',
    file: `${EVENTS}/read-tail.ts`,
    find: 'below((newest ?? 0) + 1, shown)',
    replace: 'newest ? shown : shown',
    killer: TAIL,
  },
  {
    name: 'a frame waits once for each reader',
    file: `${EVENTS}/outbox.ts`,
    find: 'if (readers === 0) this.#bytes += frame.length',
    replace: 'this.#bytes += frame.length',
    killer: OUTBOX,
  },
  {
    name: 'the frame that is on its way counts as waiting',
    file: `${EVENTS}/outbox.ts`,
    find: 'this.#queuedBytes - this.#queue[0]!.length + this.#offset',
    replace: 'this.#queuedBytes',
    killer: OUTBOX,
  },
  {
    name: 'a small frame overtakes the rest of a large one',
    file: `${EVENTS}/outbox.ts`,
    find: 'this.#queue.length === 0 && bytes <= PIECE_BYTES',
    replace: 'bytes <= PIECE_BYTES',
    killer: OUTBOX,
  },
  {
    name: 'a frame of any size is handed over at once',
    file: `${EVENTS}/outbox.ts`,
    find: 'if (this.#queue.length === 0 && bytes <= PIECE_BYTES) {',
    replace: 'if (bytes > 0) {',
    killer: OUTBOX,
  },
  {
    name: 'a row that is committed late is passed over',
    file: `${EVENTS}/read-tail.ts`,
    find: `l.pos = any(\${since.xip as number[]}::bigint[])`,
    replace: `l.pos = any(\${[] as number[]}::bigint[])`,
    killer: TAIL,
  },
  {
    name: 'a later page has what a later snapshot shows',
    file: `${EVENTS}/read-tail.ts`,
    find: `? sql\`and l.pos < \${until.xmax} and l.pos <> all(\${until.xip as number[]}::bigint[])\``,
    replace: '? sql``',
    killer: TAIL,
  },
  {
    name: 'a page begins with the last row of the one before',
    file: `${EVENTS}/read-tail.ts`,
    find: '(l.pos, l.convo_id, l.n) > (',
    replace: '(l.pos, l.convo_id, l.n) >= (',
    killer: TAIL,
  },
  {
    name: 'a snapshot cut at a position shows what was running',
    file: `${EVENTS}/snapshot.ts`,
    find: 'xip: xip.filter((id) => id < position)',
    replace: 'xip: []',
    killer: SNAPSHOT,
  },
  {
    name: 'the past goes on where it should have ended',
    file: `${EVENTS}/read-past.ts`,
    find: `or \${isShown(sql, 'l.pos', until)})`,
    replace: 'or true)',
    killer: BACKFILL,
  },
  {
    name: 'the past is not only that of a member',
    file: `${EVENTS}/read-past.ts`,
    find: `and l.n <= coalesce(i."to", \${LAST})`,
    replace: '',
    killer: BACKFILL,
  },
  {
    name: 'messages come after they have expired',
    file: `${EVENTS}/read-past.ts`,
    find: 'and (l.expires_at is null or l.expires_at > now())',
    replace: '',
    killer: BACKFILL,
  },
  {
    name: 'the first conversation is left out after a break',
    file: `${EVENTS}/backfill.ts`,
    find: 'isIncluded: true',
    replace: 'isIncluded: false',
    killer: BACKFILL,
  },
  {
    name: 'what a reader has had of one conversation is forgotten',
    file: `${EVENTS}/backfill.ts`,
    find: 'Math.max(convo.afterN, had.n)',
    replace: 'convo.afterN',
    killer: BACKFILL,
  },
  {
    name: 'a break in the past skips the other conversations',
    file: `${EVENTS}/backfill.ts`,
    find: 'yield* round({ since, atMs, target }, place)',
    replace: '',
    killer: BACKFILL,
  },
  {
    name: 'a row passes twice after a failure',
    file: `${EVENTS}/tailer.ts`,
    find: 'step.after = row',
    replace: 'void row',
    killer: TAILER,
  },
  {
    name: 'a step that is not finished counts as finished',
    file: `${EVENTS}/tailer.ts`,
    find: 'if (rows.length === PAGE_ROWS || this.#isStopping) return',
    replace: '',
    killer: TAILER,
  },
  {
    name: 'a cursor promises the rest of its transaction',
    file: `${EVENTS}/tailer.ts`,
    find: 'below(pos, step.snapshot)',
    replace: 'step.snapshot',
    killer: TAILER,
  },
  {
    name: 'nothing is read that others commit',
    file: `${EVENTS}/tailer.ts`,
    find: 'if (!this.#step) await this.#sleep(POLL_MS)',
    replace: 'if (!this.#step) await this.#sleep(undefined)',
    killer: TAILER,
  },
  {
    name: 'a reader does not follow into a conversation',
    file: `${EVENTS}/hub.ts`,
    find: "if (kind !== 'welcome') this.#eachOf(added,",
    replace: "if (kind === 'created') this.#eachOf(added,",
    killer: TAILER,
  },
  {
    name: 'who is removed hears on',
    file: `${EVENTS}/hub.ts`,
    find: 'if (removed.length > 0) this.#passRemoval(row, toFrame)',
    replace: '',
    killer: TAILER,
  },
  {
    name: 'a Welcome is told to all',
    file: `${EVENTS}/row-events.ts`,
    find: "return kind !== 'welcome' || added.includes(did)",
    replace: 'return true',
    killer: TAILER,
  },
  {
    name: 'a stream of one conversation hears of others',
    file: `${EVENTS}/hub.ts`,
    find: 'if (only === undefined || only === convoId) then(subscriber)',
    replace: 'then(subscriber)',
    killer: TAILER,
  },
  {
    name: 'an event is encoded for each reader',
    file: `${EVENTS}/frame.ts`,
    find: `this.#encoded[\`\${form} \${scope}\`] ??= `,
    replace: `this.#encoded[\`\${form} \${scope}\`] = `,
    killer: TAILER,
  },
  {
    name: 'what was dropped while the past was read is lost',
    file: `${EVENTS}/stream.ts`,
    find: 'while (this.#held?.isTooMuch && !this.#isOver) {',
    replace: 'while (false) {',
    killer: STREAM,
  },
  {
    name: 'a reader that does not read may have any amount waiting',
    file: `${EVENTS}/stream.ts`,
    find: "if (this.#connection!.waiting > MAX_WAITING_BYTES) this.end('slow')",
    replace: "if (this.#connection!.waiting < 0) this.end('slow')",
    killer: STREAM,
  },
  {
    name: 'with the first event of a row all of it counts as had',
    file: `${EVENTS}/stream.ts`,
    find: 'const n = i === events.length - 1 ? row.n : row.n - 1',
    replace: 'const n = row.n',
    killer: test(`${EVENTS}/stream.test.ts`, 'a row with several events'),
  },
  {
    name: 'a cursor says less than a reader has had, or more',
    file: `${EVENTS}/stream-cursor.ts`,
    find: '? below(snapshot.xip[MAX_XIP]!, snapshot) : snapshot',
    replace: '? { xmax: snapshot.xmax, xip: snapshot.xip.slice(0, MAX_XIP) } : snapshot',
    killer: CURSOR,
  },
  {
    name: 'where the last stream was is where the next one begins',
    file: `${EVENTS}/tailer.ts`,
    find: '        this.#passed = undefined\n',
    replace: '',
    killer: TAILER,
  },
  {
    name: 'a message that is gone holds up all others',
    file: `${EVENTS}/tailer.ts`,
    find: 'if (row.size === 0 || row.bytes || !hub.wants(row)) hub.pass',
    replace: 'hub.pass',
    killer: TAILER,
  },
  {
    name: 'whoever waits for a step is not bounded',
    file: `${EVENTS}/tailer.ts`,
    find: 'if (this.#afterwards.length < MAX_AFTERWARDS) this',
    replace: 'this',
    killer: TAILER,
  },
  {
    name: 'a heartbeat repeats the newest event',
    file: `${EVENTS}/stream.ts`,
    find: 'const position = this.#held ? undefined : this.#options.tailer.position',
    replace: 'const position = undefined as StreamPosition | undefined',
    killer: STREAM,
  },
]
