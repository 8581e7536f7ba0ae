import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Shard } from '@catbird/shard-worker/engine/shard'
import { PgStore } from '@catbird/shard-worker/store/pg-store'
import { ShardTelemetry } from '@catbird/shard-worker/telemetry'
import { sha256Hex } from '@catbird/shared/bytes'
import { systemClock } from '@catbird/shared/clock'
import type { Command, Reply } from '@catbird/shared/commands'
import { newEntryId } from '@catbird/shared/ids'
import postgres from 'postgres'
import { Registry } from 'prom-client'
import { type Kind, runWorkers, Workload } from './workload.ts'

const ALICE = 'did:plc:alice23456alice23456alic'
const POLICY = { maxMembers: 1000, messageEpochWindow: 0, messageTtlMs: 30 * 86_400_000 }
const MEMBERS = 20
const memberDids = Array.from({ length: MEMBERS - 1 }, (_, i) => `did:plc:member23456member2345${i + 10}`)

function openEngine(url: string) {
  const base = { clock: systemClock, policy: POLICY }
  const store = new PgStore({ ...base, url, incarnation: 1, name: 'bench', lockers: 2 })
  const shard = new Shard({
    ...base,
    store,
    newId: newEntryId,
    random: Math.random,
    telemetry: new ShardTelemetry(new Registry(), { shard: 0, isDebug: false }, systemClock, () => {}),
    limits: {
      mailboxCommands: 1000,
      mailboxBytes: 64 * 2 ** 20,
      maxResident: 200_000,
      idleMs: 3_600_000,
      batchRows: 512,
      batchBytes: 8 * 2 ** 20,
    },
  })
  return { store, shard }
}

function base(convoId: string) {
  return { convoId, caller: ALICE, requestId: 'bench', deadlineMs: Date.now() + 60_000, size: 1000 }
}

function expectOk(reply: Reply): void {
  if (!reply.ok) throw new Error(JSON.stringify(reply.refusal))
}

/** Ops/s of the engine alone, in this process on one thread: shard, group commit and store, without HTTP. */
export async function measureEngine(
  url: string,
  kind: Kind,
  workers: number,
  conversations: number,
  seconds: number,
): Promise<number> {
  const { store, shard } = openEngine(url)
  const load = new Workload(conversations)
  for (const reply of await Promise.all(load.convoIds.map((id) => shard.submit(createCommand(id)))))
    expectOk(reply)
  const perSecond = await runWorkers(workers, conversations, seconds, async (_, index) => {
    expectOk(await shard.submit(commandFor(kind, load, index)))
    if (kind === 'commit') load.advance(index)
  })
  await shard.stop(Date.now() + 5000)
  await store.close()
  return perSecond
}

function createCommand(convoId: string): Command {
  const input = { cipherSuite: 's', initialMembers: memberDids, keyPackages: [], epoch: 0 }
  return { ...base(convoId), ...input, type: 'createConvo' }
}

function commandFor(kind: Kind, load: Workload, index: number): Command {
  const convoId = load.convoIds[index]!
  const bytes = load.frame(kind, index).slice()
  const epoch = load.epoch(index)
  const sha256 = sha256Hex(bytes)
  if (kind === 'message') return { ...base(convoId), type: 'sendMessage', bytes, sha256, epoch }
  return { ...base(convoId), type: 'addMembers', dids: [], keyPackages: [], commit: { bytes, sha256, epoch } }
}

/** Rows that PostgreSQL inserts, updates and deletes for one message in a conversation of so many members. */
export async function measureRowsPerMessage(url: string, members: number): Promise<number> {
  const load = new Workload(1)
  const initialMembers = Array.from({ length: members - 1 }, (_, i) => `did:plc:row${i}`)
  const create = { ...createCommand(load.convoIds[0]!), initialMembers } as Command
  const before = await rowsChanged(url, [create])
  const messages = Array.from({ length: 100 }, () => commandFor('message', load, 0))
  return ((await rowsChanged(url, messages)) - before) / messages.length
}

/** Runs commands and answers how many rows have been changed in this database so far. */
async function rowsChanged(url: string, commands: Command[]): Promise<number> {
  const { store, shard } = openEngine(url)
  for (const command of commands) expectOk(await shard.submit(command))
  await shard.stop(Date.now() + 5000)
  // A backend reports what it did when it ends, at the latest.
  await store.close()
  await systemClock.sleep(500)
  const sql = postgres(url, { max: 1 })
  const [row] = await sql`
    select sum(n_tup_ins + n_tup_upd + n_tup_del)::integer as rows from pg_stat_user_tables`
  await sql.end()
  return row!.rows
}

/** Bytes of heap per idle actor with 20 members, loaded from the database. */
export async function measureActorMemory(url: string, actors: number): Promise<number> {
  await plantConversations(url, actors)
  const { store, shard } = openEngine(url)
  const before = usedHeap()
  const chunk = 2000
  for (let start = 1; start <= actors; start += chunk) {
    const end = Math.min(actors, start + chunk - 1)
    await Promise.all(
      Array.from({ length: end - start + 1 }, (_, i) => {
        const convoId = `a${(start + i).toString(16).padStart(31, '0')}`
        // Refused after the conversation was loaded: it is not in this epoch.
        return shard.submit({
          ...base(convoId),
          type: 'sendMessage',
          bytes: new Uint8Array(),
          sha256: '',
          epoch: 9,
        })
      }),
    )
  }
  const perActor = (usedHeap() - before) / shard.actors.size
  if (shard.actors.size !== actors) throw new Error(`only ${shard.actors.size} actors are resident`)
  await shard.stop(Date.now() + 5000)
  await store.close()
  return perActor
}

async function plantConversations(url: string, count: number): Promise<void> {
  const sql = postgres(url, { max: 1 })
  await sql`
    insert into conversations (convo_id, cipher_suite, creator, tracking, epoch, seq, version, log_hash, last_at,
      last_commit_seq, last_commit_epoch, last_commit_sha256, incarnation, pos, created_at)
    select 'a' || lpad(to_hex(g), 31, '0'), 'MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519', ${ALICE}, 'tracked', 1, 1,
      2, sha256(g::text::bytea), now(), 1, 1, sha256('x'), 1, 1, now()
    from generate_series(1, ${count}) g`
  await sql`
    insert into members (convo_id, did, joined_n, joined_index, from_seq, joined_at)
    select 'a' || lpad(to_hex(g), 31, '0'),
      case when m = 0 then ${ALICE} else 'did:plc:' || substr(md5(g::text || 'x' || m), 1, 24) end, 1, m, 1, now()
    from generate_series(1, ${count}) g, generate_series(0, ${MEMBERS - 1}) m`
  await sql`analyze`
  await sql.end()
}

function usedHeap(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  for (let i = 0; i < 3; i++) collect()
  return process.memoryUsage().heapUsed
}
