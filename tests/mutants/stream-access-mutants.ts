import { test } from './killers.ts'
import type { Mutant } from './mutant.ts'

const START = test('packages/api/src/events/start-position.test.ts')
const TICKETS = test('packages/api/src/auth/tickets.test.ts')
const STREAMS = test('packages/api/src/events/streams.test.ts')
const TICKET_STREAMS = test('tests/integration/streamConvoEvents-tickets.test.ts')

/** Who may open a stream, how many, and from where. */
export const STREAM_ACCESS_MUTANTS: Mutant[] = [
  {
    name: 'a cursor of another life of the database counts in this one',
    file: 'packages/api/src/events/start-position.ts',
    find: 'if (cursor.tag === tag) {',
    replace: 'if (cursor.tag) {',
    killer: START,
  },
  {
    name: 'the cursor of a stream of one conversation serves for all',
    file: 'packages/api/src/events/start-position.ts',
    find: 'if (cursor.convoId !== undefined && cursor.convoId !== convoId) throw invalidCursor()',
    replace: '',
    killer: START,
  },
  {
    name: 'a ticket is good until it expires',
    file: 'packages/api/src/auth/tickets.ts',
    find: 'delete from tickets\n',
    replace: 'update tickets set did = did\n',
    killer: TICKETS,
  },
  {
    name: 'a ticket is good for any stream',
    file: 'packages/api/src/auth/tickets.ts',
    find: `and convo_id is not distinct from \${convoId ?? null}::text`,
    replace: `and (convo_id is not distinct from \${convoId ?? null}::text or true)`,
    killer: TICKETS,
  },
  {
    name: 'a ticket is good for ever',
    file: 'packages/api/src/auth/tickets.ts',
    find: 'and expires_at > now()',
    replace: '',
    killer: TICKETS,
  },
  {
    name: 'a stream keeps its request in the budget',
    file: 'packages/api/src/xrpc/open-stream.ts',
    find: '  admission.release()\n',
    replace: '',
    killer: test('tests/integration/streamConvoEvents-limits.test.ts', 'room for requests'),
  },
  {
    name: 'all streams together are not bounded',
    file: 'packages/api/src/events/streams.ts',
    find: 'if (waitingFrames.bytes > MAX_WAITING_BYTES) this.#shed()',
    replace: '',
    killer: STREAMS,
  },
  {
    name: 'more is shed than is needed',
    file: 'packages/api/src/events/streams.ts',
    find: 'bytes <= MAX_WAITING_BYTES || ',
    replace: '',
    killer: STREAMS,
  },
  {
    name: 'what is committed here waits to be found',
    file: 'packages/api/src/events/streams.ts',
    find: 'if (this.#hub.size > 0) this.#tailer.poke()',
    replace: '',
    killer: test('tests/integration/streamConvoEvents.test.ts', 'its own server commits'),
  },
  {
    name: 'failed tickets cost an address nothing',
    file: 'packages/api/src/xrpc/let-in.ts',
    find: 'if (error instanceof AuthError && error.isCostly) await limits.addressFailed(address)',
    replace:
      'if (error instanceof AuthError && error.isCostly && ticket === null) await limits.addressFailed(address)',
    killer: TICKET_STREAMS,
  },
  {
    name: 'failed tickets are not counted',
    file: 'packages/api/src/xrpc/let-in.ts',
    find: 'if (error instanceof AuthError) context.metrics.authFailed(error.reason)',
    replace: '',
    killer: TICKET_STREAMS,
  },
  {
    name: 'a ticket does not know convo_id',
    file: 'packages/api/src/xrpc/let-in.ts',
    find: ` ?? query.get('convo_id')`,
    replace: '',
    killer: TICKET_STREAMS,
  },
]
