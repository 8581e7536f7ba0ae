import type { TestClient } from '../client.ts'
import { commitFor, createConvo, messageFor } from '../convo.ts'
import { eventually } from '../eventually.ts'
import { sendRaw } from '../http.ts'
import { ascending } from '../matchers.ts'
import type { openSql } from '../postgres.ts'
import { publishDevice } from '../real-group.ts'
import type { TestEnv, TestServer } from '../server.ts'
import { openReader, type StreamReader } from '../streams/stream-reader.ts'
import { newDid } from '../use-server.ts'

type Sql = ReturnType<typeof openSql>
/** The servers under load, all on this database. */
export type World = { servers: readonly TestServer[]; sql: Sql }

const NSID = 'blue.catbird.mls.'
const MAX_STREAMS = 2
const MAILBOX_LIMIT = 5
const PLENTY = '1000000'

/** Limits so small that this load meets them, and others that it does not. */
export const SMALL_LIMITS: TestEnv = {
  MAX_STREAMS: String(MAX_STREAMS),
  ACTOR_MAILBOX_LIMIT: String(MAILBOX_LIMIT),
  ACTOR_MAX_RESIDENT: '6',
  RATE_LIMIT_ENABLED: 'true',
  RATE_LIMIT_EPHEMERAL: '1',
  RATE_LIMIT_SEND: PLENTY,
  RATE_LIMIT_CREATE: PLENTY,
  RATE_LIMIT_BYTES: String(2 ** 30),
}

/** Makes the database refuse what such a DID sends. */
export async function poisonMallory(sql: Sql): Promise<void> {
  await sql.unsafe(`
    create function refuse() returns trigger language plpgsql as
    $$ begin raise exception 'a poison row' using errcode = 'data_exception'; end $$;
    create trigger poison before insert on log for each row when (new.sender like 'did:plc:mallory%')
    execute function refuse()`)
}

/** One of everything that a metric counts: what goes well, what is refused, what fails. */
export async function everyKindOfLoad(world: World): Promise<void> {
  for (const server of world.servers) {
    await conversations(server)
    await keyPackages(server)
    await strangers(server)
    await limits(server)
    await streams(server)
  }
  const shards = world.servers.flatMap((server) => server.shards ?? [])
  await Promise.all(shards.map((shard) => shard.terminate()))
  await eventually('all shards', () => shards.every(({ state }) => state === 'up'), 30_000)
  // What a shard counts between the last scrape and its end is lost: what only this counts comes last.
  for (const server of world.servers) await conversations(server)
  await takeTurns(world)
  await fullMailbox(world)
}

const send = (client: TestClient, convoId: string, epoch = 0, size = 200) =>
  client.call('sendMessage', { convoId, epoch, ciphertext: messageFor(convoId, epoch, size) })

/** So many that a mixed server runs some in each executor: messages, commits that race, and refusals. */
async function conversations(server: TestServer): Promise<void> {
  await Promise.all(
    ascending(10).map(async () => {
      const [alice, bob] = [server.as(newDid('alice')), server.as(newDid('bob'))]
      const convoId = await createConvo(alice, { epoch: 0, initialMembers: [bob.did] })
      const commit = (client: TestClient, epoch: number) =>
        client.call('addMembers', { convoId, didList: [], commit: commitFor(convoId, epoch) })
      await send(alice, convoId)
      await Promise.all([commit(alice, 0), commit(bob, 0)])
      await commit(bob, 9)
      await send(bob, convoId)
      await bob.ok('getMessages', { convoId, markRead: true })
      await alice.ok('getCommits', { convoId, fromEpoch: 0 })
    }),
  )
}

async function keyPackages({ as }: TestServer): Promise<void> {
  const [alice, bob] = [as(newDid('alice')), as(newDid('bob'))]
  await publishDevice(bob)
  await alice.ok('getKeyPackages', { dids: [bob.did, newDid('nobody')] })
}

async function strangers({ url }: TestServer): Promise<void> {
  await sendRaw(`${url}/xrpc/${NSID}getConvos`, { method: 'GET' })
  await sendRaw(`${url}/xrpc/${NSID}noSuchMethod`, { method: 'GET' })
}

async function limits({ as }: TestServer): Promise<void> {
  const alice = as(newDid('alice'))
  const convoId = await createConvo(alice, { epoch: 0 })
  const ephemeral = () =>
    alice.call('sendEphemeral', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
  await Promise.all(ascending(3).map(ephemeral))
  await as(newDid('mallory')).call('createConvo', {
    groupId: convoId.replaceAll('0', '1'),
    cipherSuite: 'MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519',
  })
}

/** One stream too many, one that is closed by its reader, one that is too slow. */
async function streams(server: TestServer): Promise<void> {
  const alice = server.as(newDid('alice'))
  const convoId = await createConvo(alice, { epoch: 0 })
  const open = async () => openReader('sse', { url: server.url, token: await alice.token() })
  const readers: StreamReader[] = []
  try {
    while (readers.length < MAX_STREAMS) readers.push(await open())
    await open().then(
      () => Promise.reject(new Error('there was room for one more stream')),
      () => {},
    )
    for (const reader of readers) await reader.until('caughtUp')
    await readers[0]!.close()
    readers[1]!.pause()
    let hasEnded = false
    void readers[1]!.ended.then(() => (hasEnded = true))
    for (let i = 0; i < 40 && !hasEnded; i++) await send(alice, convoId, 0, 400_000)
  } finally {
    await Promise.all(readers.map((reader) => reader.close()))
  }
}

/** What one server's actor remembers is old when the other has written. */
async function takeTurns({ servers }: World): Promise<void> {
  const did = newDid('alice')
  const convoIds = await Promise.all(ascending(4).map(() => createConvo(servers[0]!.as(did), { epoch: 0 })))
  for (const convoId of convoIds) {
    for (const server of [...servers, ...servers]) await send(server.as(did), convoId)
  }
}

/** More commands than a mailbox holds, while somebody holds its conversation. */
async function fullMailbox({ servers, sql }: World): Promise<void> {
  const alice = servers[0]!.as(newDid('alice'))
  const convoId = await createConvo(alice, { epoch: 0 })
  const { sent } = await sql.begin(async (transaction) => {
    await transaction`select from conversations where convo_id = ${convoId} for update`
    const sent = ascending(MAILBOX_LIMIT + 4).map(() => send(alice, convoId))
    // Those that find no room are answered at once, and the others not before the end.
    await Promise.race(sent)
    return { sent }
  })
  await Promise.all(sent)
}
