import { test } from './killers.ts'
import type { Mutant } from './mutant.ts'

const API = 'packages/api/src'
const SHARED = 'packages/shared/src'

const SHARD_MAP = test(`${SHARED}/shard-map.test.ts`)
const APPLICATION_MESSAGE = test(`${SHARED}/mls/application-message.test.ts`)
const MLS_INPUT = test(`${API}/xrpc/mls-input.test.ts`)
const DIRECT = test(`${API}/executors/direct-executor.test.ts`)
const READ_POSITIONS = test(`${API}/queries/read-positions.test.ts`)
const integration = (method: string, filter: string) => test(`tests/integration/${method}.test.ts`, filter)

/** Where a command goes, what is let in, and what is read without a shard. */
export const FRONT_MUTANTS: Mutant[] = [
  {
    name: 'another shard more moves every conversation',
    file: `${SHARED}/shard-map.ts`,
    find: 'ownerOf(slot, shardCount))',
    replace: 'slot % shardCount)',
    killer: SHARD_MAP,
  },
  {
    name: 'the share of actors is drawn anew when it grows',
    file: `${SHARED}/shard-map.ts`,
    find: 'readUInt32BE(0) % 10_000 < percent * 100',
    replace: 'readUInt32BE(Math.ceil(percent / 10)) % 10_000 < percent * 100',
    killer: SHARD_MAP,
  },
  {
    name: 'padding may hide anything',
    file: `${SHARED}/mls/application-message.ts`,
    find: 'if (end > bytes.length || !isAllZeros(bytes.subarray(end))) return null',
    replace: 'if (end > bytes.length) return null',
    killer: APPLICATION_MESSAGE,
  },
  {
    name: 'any message counts as an application message',
    file: `${SHARED}/mls/application-message.ts`,
    find: "return header?.contentType === 'application' ? header : null",
    replace: 'return header',
    killer: APPLICATION_MESSAGE,
  },
  {
    name: 'bytes may follow a message',
    file: `${SHARED}/mls/message-header.ts`,
    find: 'return header && reader.isComplete ? header : null',
    replace: 'return header',
    killer: test(`${SHARED}/mls/message-header.test.ts`, 'trailing bytes'),
  },
  {
    name: 'a proposal counts as a commit',
    file: `${API}/xrpc/mls-input.ts`,
    find: "if (header?.contentType !== 'commit') {",
    replace: 'if (!header) {',
    killer: MLS_INPUT,
  },
  {
    name: 'commits come from anybody',
    file: `${API}/xrpc/mls-input.ts`,
    find: "header.wireFormat === 'public' && header.senderType !== 'member'",
    replace: "header.wireFormat === 'public' && header.senderType === undefined",
    killer: MLS_INPUT,
  },
  {
    name: 'a commit of another group is taken',
    file: `${API}/xrpc/mls-input.ts`,
    find: 'if (hex(header.groupId) !== convoId) {',
    replace: "if (hex(header.groupId) === '') {",
    killer: MLS_INPUT,
  },
  {
    name: 'a message of another group is taken',
    file: `${API}/xrpc/mls-input.ts`,
    find: 'if (hex(header.groupId) !== input.convoId) {',
    replace: "if (hex(header.groupId) === '') {",
    killer: MLS_INPUT,
  },
  {
    name: 'the epoch of a message is what the request says',
    file: `${API}/xrpc/mls-input.ts`,
    find: 'if (header.epoch !== input.epoch) {',
    replace: 'if (header.epoch < 0) {',
    killer: MLS_INPUT,
  },
  {
    name: 'the epoch of a commit is what the request says',
    file: `${API}/xrpc/mls-input.ts`,
    find: 'return { bytes, sha256, epoch: header.epoch }',
    replace: 'return { bytes, sha256, epoch }',
    killer: MLS_INPUT,
  },
  {
    name: 'the direct executor has no deadline',
    file: `${API}/executors/direct-executor.ts`,
    find: 'command.deadlineMs <= clock.now()',
    replace: 'command.deadlineMs <= 0',
    killer: DIRECT,
  },
  {
    name: 'the direct executor has no bound on waiting commands',
    file: `${API}/executors/direct-executor.ts`,
    find: 'if (queue && queue.length >= this.#options.queueLimit) {',
    replace: 'if (queue && queue.length < 0) {',
    killer: DIRECT,
  },
  {
    name: 'a hot conversation may take all connections of the direct executor',
    file: `${API}/executors/direct-executor.ts`,
    find: 'if (queue) queue.push(waiting)',
    replace: 'if (queue) this.#ready.push(command.convoId, String(queue.push(waiting)))',
    killer: DIRECT,
  },
  {
    name: 'the direct executor takes any number of connections',
    file: `${API}/executors/direct-executor.ts`,
    find: 'while (this.#running < this.#options.maxRunning) {',
    replace: 'while (this.#running >= 0) {',
    killer: DIRECT,
  },
  {
    name: 'read positions move backwards',
    file: `${API}/queries/read-positions.ts`,
    find: ' where cursors.seq < excluded.seq',
    replace: '',
    killer: READ_POSITIONS,
  },
  {
    name: 'of many positions at once the last one wins',
    file: `${API}/queries/read-positions.ts`,
    find: 'Math.max(seq, known?.seq ?? 0)',
    replace: 'seq',
    killer: READ_POSITIONS,
  },
  {
    name: 'a key package is handed to two',
    file: `${API}/queries/key-packages.ts`,
    find: '        limit 1\n        for update\n',
    replace: '        limit 1\n',
    killer: integration('getKeyPackages', 'never hands one to two'),
  },
  {
    name: 'reservations of key packages mean nothing',
    file: `${API}/queries/key-packages.ts`,
    find: 'and (k.reserved_by is null or',
    replace: 'and (true or',
    killer: integration('getKeyPackages', 'none to two'),
  },
  {
    name: 'getWelcome answers what is consumed',
    file: `${API}/queries/welcomes.ts`,
    find: 'w.consumed_at is not null as consumed,\n      case when w.consumed_at is null then b.bytes end as bytes',
    replace: 'false as consumed, b.bytes',
    killer: integration('getWelcome', 'until it is confirmed'),
  },
  {
    name: 'getWelcome answers what is withdrawn',
    file: `${API}/queries/welcomes.ts`,
    find: ' and w.withdrawn_n is null\n    order by w.consumed_at',
    replace: '\n    order by w.consumed_at',
    killer: integration('getWelcome', 'the earlier one never more'),
  },
  {
    name: 'getMessages answers a former member one entry too many',
    file: `${API}/queries/messages.ts`,
    find: 'on l.seq >= i."from" and l.seq <= i."to"\n      where',
    replace: 'on l.seq >= i."from" and l.seq <= i."to" + 1\n      where',
    killer: integration('getMessages', 'within each of its intervals'),
  },
]
