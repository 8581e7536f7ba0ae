import { test } from './killers.ts'
import type { Mutant } from './mutant.ts'

const API = 'packages/api/src'
const SHARED = 'packages/shared/src'

const SHARD_MAP = test(`${SHARED}/shard-map.test.ts`)
const APPLICATION_MESSAGE = test(`${SHARED}/mls/application-message.test.ts`)
const MLS_INPUT = test(`${API}/xrpc/mls-input.test.ts`)
const DIRECT = test(`${API}/executors/direct-executor.test.ts`)
const READ_POSITIONS = test(`${API}/queries/read-positions.test.ts`)
const BUDGET = test(`${API}/xrpc/inflight-budget.test.ts`)
const BODY = test(`${API}/xrpc/body.test.ts`)
const JSON_SHAPE = test(`${API}/xrpc/json-shape.test.ts`)
const CLIENT_ADDRESS = test(`${API}/middleware/client-address.test.ts`)
const METRICS_ACCESS = test(`${API}/middleware/metrics-access.test.ts`)
const DID_DOCUMENT = test(`${API}/well-known/did-document.test.ts`)
const contract = (subject: string, filter: string) => test(`tests/contract/${subject}.test.ts`, filter)
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
  {
    name: 'announced bytes are held as if they had come',
    file: `${API}/xrpc/inflight-budget.ts`,
    find: 'add(BASE_BYTES)',
    replace: 'add(BASE_BYTES + COPIES * declaredBytes)',
    killer: BUDGET,
  },
  {
    name: 'bytes that come are held by nobody',
    file: `${API}/xrpc/inflight-budget.ts`,
    find: 'charge: (bytes) => take(COPIES * bytes),',
    replace: 'charge: () => take(0),',
    killer: BUDGET,
  },
  {
    name: 'what a request held is given back twice',
    file: `${API}/xrpc/inflight-budget.ts`,
    find: 'add(-held)',
    replace: 'this.#used -= held',
    killer: BUDGET,
  },
  {
    name: 'one caller may hold all bytes in flight',
    file: `${API}/xrpc/inflight-budget.ts`,
    find: 'this.#maxBytes * CALLER_SHARE',
    replace: 'this.#maxBytes',
    killer: BUDGET,
  },
  {
    name: 'answers cost nothing',
    file: `${API}/xrpc/inflight-budget.ts`,
    find: 'chargeAnswer: (bytes) => take(bytes),',
    replace: 'chargeAnswer: () => true,',
    killer: BUDGET,
  },
  {
    name: 'a body that no longer fits is read all the same',
    file: `${API}/xrpc/body.ts`,
    find: 'else if (!admission.charge(chunk.length)) finish(overloaded())',
    replace: 'else if (!admission.charge(chunk.length) && chunk.length === 0) finish(overloaded())',
    killer: BODY,
  },
  {
    name: 'a body of unknown length has no limit',
    file: `${API}/xrpc/body.ts`,
    find: 'if (received.length + chunk.length > maxBytes) finish(tooLarge(maxBytes))',
    replace: 'if (chunk.length < 0) finish(tooLarge(maxBytes))',
    killer: BODY,
  },
  {
    name: 'nesting counts inside strings',
    file: `${API}/xrpc/json-shape.ts`,
    find: 'if (backslashes % 2 === 0) return quote',
    replace: 'if (backslashes >= 0) return quote',
    killer: JSON_SHAPE,
  },
  {
    name: 'JSON may be nested as deep as it likes',
    file: `${API}/xrpc/json-shape.ts`,
    find: 'if (++depth > MAX_DEPTH)',
    replace: 'if (++depth < 0)',
    killer: JSON_SHAPE,
  },
  {
    name: 'a client says itself what its address is',
    file: `${API}/middleware/client-address.ts`,
    find: 'proxyaddr.all(incoming, trusted)',
    replace: 'proxyaddr.all(incoming)',
    killer: CLIENT_ADDRESS,
  },
  {
    name: 'each address of an IPv6 network is another client',
    file: `${API}/middleware/client-address.ts`,
    find: 'parts.slice(0, 4), 0, 0, 0, 0]',
    replace: 'parts]',
    killer: CLIENT_ADDRESS,
  },
  {
    name: 'metrics are for everybody behind a proxy on this machine',
    file: `${API}/middleware/metrics-access.ts`,
    find: ' && !FORWARDING_HEADERS.some((name) => headers[name] !== undefined)',
    replace: '',
    killer: METRICS_ACCESS,
  },
  {
    name: 'every host gets the first DID document',
    file: `${API}/well-known/did-document.ts`,
    find: "documents.get((c.req.header('host') ?? '').toLowerCase()) ?? first",
    replace: 'first',
    killer: DID_DOCUMENT,
  },
  {
    name: 'pages of other origins may not read answers',
    file: `${API}/xrpc/xrpc-handler.ts`,
    find: '    ...CORS_HEADERS,\n',
    replace: '',
    killer: contract('cors', 'may read answers'),
  },
  {
    name: 'overdue connections are looked for every ten minutes only',
    file: `${API}/http-server.ts`,
    find: 'Math.min(Math.ceil(requestTimeoutMs / 4), MAX_SWEEP_MS)',
    replace: '600_000',
    killer: contract('hostile-bytes', 'hangs up'),
  },
]
