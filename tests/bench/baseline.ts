import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'

/** How P was measured, and what it came to. */
export type Baseline = { perSecond: number; clients: number; program: 'pgbench' | 'node' }

const CONVERSATIONS = 1000
const CLIENTS = [1, 4, 8, 16, 32]
const PAYLOAD_BYTES = 800

/**
 * P: one transaction per commit, as a server without group commit writes it: a guarded update of the head and an
 * insert into the log, over as many connections as serve it best.
 */
export async function measureBaseline(
  url: string,
  seconds: number,
  clientCounts = CLIENTS,
): Promise<Baseline> {
  await prepare(url)
  const hasPgbench = spawnSync('pgbench', ['--version']).status === 0
  let best: Baseline = { perSecond: 0, clients: 0, program: hasPgbench ? 'pgbench' : 'node' }
  for (const clients of clientCounts) {
    const perSecond = hasPgbench ? runPgbench(url, clients, seconds) : await runNode(url, clients, seconds)
    if (perSecond > best.perSecond) best = { ...best, perSecond, clients }
  }
  return best
}

async function prepare(url: string): Promise<void> {
  const sql = postgres(url, { max: 1 })
  await sql`
    insert into conversations (convo_id, cipher_suite, creator, tracking, epoch, seq, version, log_hash, last_at,
      incarnation, pos, created_at)
    select 'b' || lpad(to_hex(g), 31, '0'), 's', 'x', 'tracked', 1, 0, 1, '', now(), 1, 1, now()
    from generate_series(1, ${CONVERSATIONS}) g
    on conflict do nothing`
  await sql`analyze conversations`
  await sql.end()
}

// A colon would begin a variable of pgbench, hence the sender without a DID's form and cast() throughout.
const SCRIPT = `
\\set c random(1, ${CONVERSATIONS})
begin;
update conversations set epoch = epoch + 1, seq = seq + 1, version = version + 1,
  log_hash = decode(repeat('ab', 32), 'hex'), last_at = now(), last_commit_seq = seq + 1,
  last_commit_epoch = epoch + 1, last_commit_sha256 = decode(repeat('ab', 32), 'hex'),
  pos = cast(cast(pg_current_xact_id() as text) as bigint)
  where convo_id = 'b' || lpad(to_hex(cast(:c as integer)), 31, '0') and version > 0
  returning version as v \\gset
insert into log (convo_id, n, seq, kind, epoch, sender, bytes, entry_id, message_id, log_hash, created_at,
  incarnation, pos)
  values ('b' || lpad(to_hex(cast(:c as integer)), 31, '0'), cast(:v as bigint), cast(:v as bigint), 'commit',
  cast(:v as bigint), 'sender-of-usual-length-0123456789', decode(repeat('ab', ${PAYLOAD_BYTES}), 'hex'),
  gen_random_uuid(), cast(gen_random_uuid() as text), decode(repeat('ab', 32), 'hex'), now(), 1, 1);
commit;
`

function runPgbench(url: string, clients: number, seconds: number): number {
  const directory = mkdtempSync(join(tmpdir(), 'catbird-bench-'))
  try {
    const script = join(directory, 'commit.sql')
    writeFileSync(script, SCRIPT)
    const threads = String(Math.min(clients, 2))
    const args = [
      '-n',
      '-M',
      'prepared',
      '-f',
      script,
      '-c',
      String(clients),
      '-j',
      threads,
      '-T',
      String(seconds),
    ]
    const { stdout, stderr, status } = spawnSync('pgbench', [...args, url], { encoding: 'utf8' })
    const tps = /tps = ([\d.]+)/.exec(stdout)?.[1]
    if (status !== 0 || tps === undefined) throw new Error(`pgbench failed: ${stderr}`)
    return Number(tps)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

/** The same transactions from this process; slower than pgbench, so the ratios look better than they are. */
async function runNode(url: string, clients: number, seconds: number): Promise<number> {
  const sql = postgres(url, { max: clients })
  const until = performance.now() + seconds * 1000
  const payload = Buffer.alloc(PAYLOAD_BYTES, 0xab)
  const client = async (): Promise<number> => {
    let done = 0
    for (; performance.now() < until; done++) {
      const convoId = `b${(1 + Math.floor(Math.random() * CONVERSATIONS)).toString(16).padStart(31, '0')}`
      await sql.begin(async (tx) => {
        const [row] = await tx`
          update conversations set epoch = epoch + 1, seq = seq + 1, version = version + 1, last_at = now()
          where convo_id = ${convoId} and version > 0 returning version`
        await tx`
          insert into log (convo_id, n, seq, kind, epoch, sender, bytes, entry_id, message_id, log_hash, created_at,
            incarnation, pos)
          values (${convoId}, ${row!.version}, ${row!.version}, 'commit', ${row!.version}, 'sender', ${payload},
            gen_random_uuid(), gen_random_uuid()::text, '', now(), 1, 1)`
      })
    }
    return done
  }
  const counts = await Promise.all(Array.from({ length: clients }, client))
  await sql.end()
  return counts.reduce((sum, count) => sum + count, 0) / seconds
}
