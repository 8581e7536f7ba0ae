import { isIP } from 'node:net'
import {
  anyText,
  boolean,
  integer,
  list,
  oneOf,
  optional,
  type Settings,
  secret,
  setting,
} from '@catbird/shared/env'
import ipaddr from 'ipaddr.js'

const DID = /^did:[a-z]+:[a-zA-Z0-9._:%-]*[a-zA-Z0-9._-]$/
const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS
const MIB = 2 ** 20
/** A billion is as good as no limit. */
const rate = integer(1, 1_000_000_000)

/** Every environment variable that the server reads: the one place where the documentation takes them from. */
export const SETTINGS = {
  // 0 lets the system choose, for tests.
  SERVER_PORT: setting(integer(0, 65_535), 3000, 'TCP port for HTTP'),
  HOST: optional(listenAddress, 'Address to listen on', '127.0.0.1 with the embedded database, else 0.0.0.0'),
  REQUEST_TIMEOUT_MS: setting(
    // Below, a slow disk fails requests; above, clients and proxies have long given up.
    integer(100, 10 * MINUTE_MS),
    10_000,
    'How long a request may take before it is answered 503',
  ),
  // Supervisors kill after some time of their own (Docker 10 s, unless told); an hour helps nobody.
  SHUTDOWN_TIMEOUT_MS: setting(integer(100, 60 * MINUTE_MS), 15_000, 'How long a shutdown may take to drain'),
  // Less than one MiB would refuse ordinary requests; the bound is for the whole process, whose memory ends somewhere.
  MAX_INFLIGHT_BYTES: setting(
    integer(MIB, 64 * 1024 * MIB),
    256 * MIB,
    'Bytes of requests held at once; 503 above',
  ),

  // Some 30 KB and a connection each; a process has a bounded number of those.
  MAX_STREAMS: setting(integer(1, 100_000), 10_000, 'Open streams of events; 503 above'),

  DATABASE_URL: optional(
    postgresUrl,
    'PostgreSQL 14 or later, as postgres://user:password@host:port/database',
    'an embedded PostgreSQL',
  ),
  // A commit's transaction must not keep reads from a connection: two at least. PostgreSQL rarely allows 1000.
  DATABASE_POOL_MAX: setting(
    integer(2, 1000),
    10,
    'Connections of the main thread for reads, and as many for direct commands; each shard takes five',
  ),
  DATA_DIR: setting(anyText, '.data', 'Where the embedded PostgreSQL and the development secret are kept'),

  // Conversations are spread over 1024 slots: with more than 256 shards they would be uneven.
  SHARD_COUNT: optional(
    integer(1, 256),
    'Worker threads that own conversations',
    'processor cores − 1, at least 1',
  ),
  ENABLE_ACTOR_SYSTEM: setting(
    boolean,
    true,
    'false runs every command in a database transaction of its own, without shards',
  ),
  ACTOR_ROLLOUT_PERCENT: setting(integer(0, 100), 100, 'Share of the conversations that have an actor'),
  ACTOR_MAILBOX_LIMIT: setting(
    integer(1, 1_000_000),
    1000,
    'Commands that may wait for one conversation; 503 above',
  ),
  // Shorter than a pause in typing, an actor would be loaded again for each message; a day is as good as for ever.
  ACTOR_IDLE_MS: setting(
    integer(10, DAY_MS),
    5 * MINUTE_MS,
    'Time without a command after which an actor is unloaded',
  ),
  // A few KiB each without many members: ten million would be tens of GiB.
  ACTOR_MAX_RESIDENT: setting(integer(1, 10_000_000), 100_000, 'Actors in memory, over all shards'),
  // Larger batches gain no throughput and only delay the replies of all that are in them.
  COMMIT_MAX_ROWS: setting(integer(1, 10_000), 512, 'Log entries in one group commit'),

  SERVICE_DID: optional(
    list(did),
    'Accepted token audiences, with commas between',
    'did:web:localhost%3A<port> with the embedded database, else required',
  ),
  PUBLIC_URL: optional(httpUrl, 'Where clients reach this server', 'from a did:web in SERVICE_DID'),
  PLC_URL: setting(httpUrl, 'https://plc.directory', 'Directory that did:plc identities are looked up in'),
  ENFORCE_LXM: setting(boolean, true, 'false accepts tokens that name no method'),
  // A token that is overheard is good until it expires; replayed ones are remembered that long.
  MAX_TOKEN_LIFETIME_S: setting(integer(10, 3600), 300, 'Longest time until a token expires'),
  TRUSTED_PROXIES: optional(
    list(networkAddress),
    'Proxies whose X-Forwarded-For is believed, as addresses or networks with commas between',
    'none: the client is whoever connects',
  ),
  // HS256 wants a key as long as its hash (RFC 7518, section 3.2).
  JWT_SECRET: optional(
    secret(32),
    'Accepts HS256 development tokens signed with this secret',
    'off; the embedded database makes its own',
  ),

  MLS_VALIDATION: setting(oneOf('strict', 'off'), 'strict', 'off treats MLS messages as opaque bytes'),
  // A wide window accepts messages that members with forward secrecy can no longer read.
  MESSAGE_EPOCH_WINDOW: setting(
    integer(0, 100),
    0,
    'Past epochs whose application messages are still accepted',
  ),

  MESSAGE_TTL_DAYS: setting(integer(1, 3650), 30, 'Days after which application messages expire'),
  // A conversation's members are in the actor's memory and in one reply.
  MAX_MEMBERS: setting(integer(2, 10_000), 1000, 'Active members of one conversation'),
  MAX_KEY_PACKAGES: setting(integer(1, 100_000), 500, 'Unconsumed key packages of one DID'),

  RATE_LIMIT_ENABLED: setting(boolean, true, 'false switches all rate limits off'),
  RATE_LIMIT_SEND: setting(rate, 100, 'sendMessage per DID and minute'),
  RATE_LIMIT_EPHEMERAL: setting(rate, 10, 'sendEphemeral per DID and second'),
  RATE_LIMIT_READ: setting(rate, 500, 'Queries per DID and minute, each method for itself'),
  RATE_LIMIT_PUBLISH: setting(rate, 50, 'publishKeyPackage per DID and minute'),
  RATE_LIMIT_CREATE: setting(rate, 5, 'createConvo per DID and minute'),
  RATE_LIMIT_MEMBERSHIP: setting(rate, 60, 'addMembers and leaveConvo per DID and minute, each'),
  RATE_LIMIT_MEMBERSHIP_PER_CONVO: setting(rate, 10, 'The same, per DID and conversation'),
  RATE_LIMIT_OTHER: setting(rate, 200, 'Any other procedure per DID and minute'),
  RATE_LIMIT_BYTES: setting(integer(MIB, 1024 * MIB), 20 * MIB, 'Bytes of bodies per DID and minute'),
  RATE_LIMIT_STORED_BYTES: setting(
    integer(MIB, 1024 * 1024 * MIB),
    500 * MIB,
    'Bytes of messages, commits and Welcomes stored per DID and day',
  ),
  RATE_LIMIT_FAILED_AUTH: setting(rate, 100, 'Failed authentications per client address and minute'),
  RATE_LIMIT_CLAIMS: setting(rate, 1000, 'DIDs whose key packages one caller may ask for per hour'),
  RATE_LIMIT_CLAIMS_PER_TARGET: setting(rate, 30, 'The same, for any one DID'),

  METRICS_TOKEN: optional(
    headerText,
    'Bearer token for /metrics',
    '/metrics answers loopback addresses only',
  ),
  // Each is a time series of its own: a thousand is the most that a scrape should carry.
  METRICS_CONVO_LIMIT: setting(integer(0, 1000), 20, 'Conversations with a mailbox metric of their own'),
  // Whoever has it can stop the server: as long as a key.
  OPS_TOKEN: optional(
    secret(32),
    'Token of the operator console at /ops, at least 32 bytes',
    'off: there is no /ops',
  ),
  LOG_LEVEL: setting(
    oneOf('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'),
    'info',
    'The least severe level that is logged',
  ),
} as const satisfies Settings

function postgresUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !['postgres:', 'postgresql:'].includes(url.protocol)) {
    throw new Error('must be a URL like postgres://user:password@host:5432/database')
  }
  return text
}

function httpUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !['http:', 'https:'].includes(url.protocol) || url.pathname !== '/' || url.search || url.hash) {
    throw new Error('must be a URL like https://mls.example.com, without a path')
  }
  return url.origin
}

function listenAddress(text: string): string {
  if (text !== 'localhost' && isIP(text) === 0) throw new Error('must be an IP address, or localhost')
  return text
}

/** What a header can carry. */
function headerText(text: string): string {
  if (!/^[\x20-\x7e]+$/.test(text)) throw new Error('must be letters, digits and signs of ASCII')
  return text
}

function networkAddress(text: string): string {
  const [address = ''] = text.split('/')
  // Hexadecimal numbers and the like would name some address that nobody meant; a network of everybody is no proxy.
  const isWritten = ipaddr.IPv4.isValidFourPartDecimal(address) || ipaddr.IPv6.isValid(address)
  if (!isWritten || (!ipaddr.isValid(text) && !ipaddr.isValidCIDR(text)) || text.endsWith('/0')) {
    throw new Error('must be addresses or networks, like 10.0.0.0/8, with commas between')
  }
  return text
}

function did(text: string): string {
  if (!DID.test(text)) throw new Error('must be DIDs, like did:web:mls.example.com, with commas between')
  return text
}
