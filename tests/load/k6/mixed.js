// The mixed load (70 % sendMessage, 15 % getMessages, 5 % commits, 10 % getEpoch and getConvos) for k6.
//
//   npm run -s token -- did:plc:k6x --ttl 1h --many 400 > tokens
//   k6 run -e TOKENS=$PWD/tokens tests/load/k6/mixed.js
//
// BASE_URL (http://localhost:3000), RATE (100 requests per second), DURATION (30s), CONVERSATIONS (100), MEMBERS (4).
// TOKENS names a file with one bearer token a line; an absolute path, or one from this file's directory. Each
// conversation is made by a caller of its own, because the server lets one caller make only a few each minute.
//
// Run with k6 v1.8.1.

import { SharedArray } from 'k6/data'
import encoding from 'k6/encoding'
import exec from 'k6/execution'
import http from 'k6/http'
import { Counter, Trend } from 'k6/metrics'

const BASE_URL = __ENV.BASE_URL || 'http://localhost:3000'
const RATE = Number(__ENV.RATE || 100)
const DURATION = __ENV.DURATION || '30s'
const CONVERSATIONS = Number(__ENV.CONVERSATIONS || 100)
const MEMBERS = Number(__ENV.MEMBERS || 4)
const USERS = Math.max(10, Math.ceil(RATE / 4))
const PREFIX = `${BASE_URL}/xrpc/blue.catbird.mls.`
const SUITE = 'MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519'

const tokens = new SharedArray('tokens', () =>
  open(__ENV.TOKENS)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== ''),
)

// Somebody else's commit came first: that belongs to the load, so it is counted and is no failure.
const epochMismatches = new Counter('epoch_mismatches')
const rateLimited = new Counter('rate_limited')
const writes = new Trend('write_duration', true)

http.setResponseCallback(http.expectedStatuses(200, 409))

export const options = {
  scenarios: {
    mixed: {
      executor: 'constant-arrival-rate',
      rate: RATE,
      timeUnit: '1s',
      duration: DURATION,
      preAllocatedVUs: USERS,
      maxVUs: Math.max(50, RATE * 5),
    },
  },
  thresholds: {
    http_req_failed: ['rate<0.01'],
    'http_req_duration{kind:load}': ['p(95)<100', 'p(99)<500'],
    write_duration: ['p(99)<500'],
    rate_limited: ['count<1'],
    // Otherwise the load was not the one that was asked for.
    dropped_iterations: ['count<1'],
  },
}

/** Makes the conversations; what it answers every virtual user gets. */
export function setup() {
  if (tokens.length < MEMBERS) throw new Error(`TOKENS must name at least ${MEMBERS} tokens, one a line`)
  const run = Date.now().toString(16).padStart(16, '0')
  return Array.from({ length: CONVERSATIONS }, (_, i) => {
    const convoId = run + i.toString(16).padStart(16, '0')
    const members = Array.from({ length: MEMBERS }, (_, m) => (i * MEMBERS + m) % tokens.length)
    const initialMembers = members.slice(1).map((member) => didOf(tokens[member]))
    const input = { groupId: convoId, cipherSuite: SUITE, initialMembers, epoch: 0 }
    const answer = post('createConvo', members[0], input, 'setup')
    if (answer.status !== 200) throw new Error(`createConvo answered ${answer.status} ${answer.body}`)
    return { convoId, members }
  })
}

/** The epoch that each conversation has reached, as far as this virtual user knows. */
const epochs = {}
let turns = 0

/** Virtual users share no memory, so each has conversations of its own, as long as there are enough: it knows their epochs. */
export default function (convos) {
  const first = ((exec.vu.idInTest - 1) % USERS) % convos.length
  const owned = Math.ceil((convos.length - first) / USERS)
  const { convoId, members } = convos[first + USERS * (turns++ % owned)]
  const member = members[turns % members.length]
  const dice = Math.random() * 100
  if (dice < 70) send(convoId, member)
  else if (dice < 85) get('getMessages', member, `convoId=${convoId}&limit=20`)
  else if (dice < 90) commit(convoId, member)
  else if (dice < 95) get('getEpoch', member, `convoId=${convoId}`)
  else get('getConvos', member, '')
}

function send(convoId, member) {
  const epoch = epochs[convoId] || 0
  const ciphertext = { $bytes: frame(convoId, epoch, 1) }
  write(convoId, post('sendMessage', member, { convoId, epoch, ciphertext }, 'load'))
}

function commit(convoId, member) {
  const bytes = { $bytes: frame(convoId, epochs[convoId] || 0, 3) }
  write(convoId, post('addMembers', member, { convoId, didList: [], commit: bytes }, 'load'))
}

function write(convoId, answer) {
  writes.add(answer.timings.duration)
  if (answer.status !== 200 && answer.status !== 409) return
  const { newEpoch, serverEpoch } = answer.json()
  const epoch = newEpoch === undefined ? serverEpoch : newEpoch
  if (epoch !== undefined) epochs[convoId] = epoch
  if (answer.status === 409) epochMismatches.add(1)
}

function post(method, member, input, kind) {
  const headers = { Authorization: `Bearer ${tokens[member]}`, 'Content-Type': 'application/json' }
  return note(http.post(PREFIX + method, JSON.stringify(input), { headers, tags: { name: method, kind } }))
}

function get(method, member, query) {
  const headers = { Authorization: `Bearer ${tokens[member]}` }
  const url = `${PREFIX}${method}${query && `?${query}`}`
  return note(http.get(url, { headers, tags: { name: method, kind: 'load' } }))
}

function note(answer) {
  if (answer.status === 429) rateLimited.add(1)
  return answer
}

function didOf(token) {
  return JSON.parse(encoding.b64decode(token.split('.')[1], 'rawurl', 's')).iss
}

const FRAME_BYTES = 800
const SENDER_DATA_BYTES = 28

/**
 * An MLS PrivateMessage (RFC 9420, section 6.3) with a valid header and noise for its encrypted parts, base64.
 *
 * @param contentType 1: application message, 3: commit
 */
function frame(convoId, epoch, contentType) {
  const bytes = new Uint8Array(FRAME_BYTES)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i < bytes.length; i++) bytes[i] = Math.floor(Math.random() * 256)
  const groupIdBytes = convoId.length / 2
  view.setUint32(0, 0x00010002)
  view.setUint8(4, groupIdBytes)
  for (let i = 0; i < groupIdBytes; i++) view.setUint8(5 + i, parseInt(convoId.slice(2 * i, 2 * i + 2), 16))
  let at = 5 + groupIdBytes
  view.setUint32(at, Math.floor(epoch / 2 ** 32))
  view.setUint32(at + 4, epoch % 2 ** 32)
  view.setUint8(at + 8, contentType)
  // No authenticated data; then the encrypted sender data and, with a length of two bytes, the rest.
  view.setUint8(at + 9, 0)
  view.setUint8(at + 10, SENDER_DATA_BYTES)
  at += 11 + SENDER_DATA_BYTES
  view.setUint16(at, (FRAME_BYTES - at - 2) | 0x4000)
  return encoding.b64encode(bytes.buffer)
}
