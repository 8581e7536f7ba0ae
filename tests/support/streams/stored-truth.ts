import type { Pool } from '@catbird/shared/sql'
import type { Survived } from './convo-delivery.ts'
import type { TruthConvo, TruthInterval, TruthRow } from './convo-truth.ts'
import type { ReaderTruth } from './judge-delivery.ts'

/** A conversation as whoever writes there needs to know it. */
export type StoredConvo = { convoId: string; creator: string; epoch: number; members: string[] }

/** What a database has, for every reader. */
export class StoredTruth {
  /** Messages and commits. */
  readonly entries: number
  readonly messageIds: ReadonlySet<string>
  readonly #rows: ReadonlyMap<string, TruthRow[]>
  readonly #intervals: ReadonlyMap<string, ReadonlyMap<string, TruthInterval[]>>

  private constructor(rows: readonly StoredRow[], intervals: readonly StoredInterval[]) {
    this.entries = rows.filter(({ seq }) => seq !== null).length
    this.messageIds = new Set(rows.flatMap(({ messageId }) => messageId ?? []))
    this.#rows = Map.groupBy(rows, ({ convoId }) => convoId)
    const byDid = Map.groupBy(intervals, ({ did }) => did)
    this.#intervals = new Map(
      [...byDid].map(([did, own]) => [did, Map.groupBy(own, ({ convoId }) => convoId)]),
    )
  }

  static async read(sql: Pool): Promise<StoredTruth> {
    return new StoredTruth(await readRows(sql), await readIntervals(sql))
  }

  /** What a reader should have got, of the one conversation that its stream is of, or of all. */
  of(did: string, convoId: string | undefined): ReaderTruth {
    const convos = Array.from(this.#intervals.get(did) ?? [], ([id, intervals]): TruthConvo => {
      return { convoId: id, intervals, rows: this.#rows.get(id)! }
    })
    return { did, ...(convoId !== undefined && { convoId }), convos }
  }
}

type StoredRow = TruthRow & { convoId: string; messageId: string | null }
type StoredInterval = TruthInterval & { convoId: string; did: string }

function readRows(sql: Pool): Promise<StoredRow[]> {
  return sql<StoredRow[]>`
    select convo_id as "convoId", n::float8 as n, seq::float8 as seq, kind, epoch::float8 as epoch, sender, added,
      removed, message_id as "messageId", encode(sha256(bytes), 'hex') as sha256,
      encode(log_hash, 'hex') as "logHash"
    from log order by convo_id, n`
}

function readIntervals(sql: Pool): Promise<StoredInterval[]> {
  return sql<StoredInterval[]>`
    select convo_id as "convoId", did, joined_n::float8 as "joinedN", left_n::float8 as "leftN",
      from_seq::float8 as "fromSeq", to_seq::float8 as "toSeq"
    from members order by convo_id, did, joined_n`
}

/** The newest row and entry of each conversation. */
export async function readHeads(sql: Pool): Promise<Map<string, Survived>> {
  const rows = await sql<(Survived & { convoId: string })[]>`
    select convo_id as "convoId", version::float8 as n, seq::float8 as seq from conversations`
  return new Map(rows.map(({ convoId, n, seq }) => [convoId, { n, seq }]))
}

export function readConvos(sql: Pool): Promise<StoredConvo[]> {
  return sql<StoredConvo[]>`
    select convo_id as "convoId", creator, epoch::float8 as epoch, array(
      select did from members m where m.convo_id = c.convo_id and left_n is null order by joined_n, joined_index
    ) as members
    from conversations c order by convo_id`
}

/** Of each message and commit, by conversation and seq, the value of the log's chain. */
export async function readLogHashes(sql: Pool): Promise<Map<string, string>> {
  const rows = await sql<{ place: string; hash: string }[]>`
    select convo_id || '/' || seq as place, encode(log_hash, 'hex') as hash from log where seq is not null`
  return new Map(rows.map(({ place, hash }) => [place, hash]))
}
