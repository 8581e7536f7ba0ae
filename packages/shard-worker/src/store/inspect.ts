import type { Sql } from '@catbird/shared/sql'
import type { Inspection, InspectionKey } from './store.ts'

type Row = {
  i: number
  version: string | null
  entry_id: string | null
  seq: string | null
  epoch: string | null
  sha256: string | null
}

/** Versions now, with a log row's entry id and an epoch's winning commit where asked for; one snapshot. */
export async function inspect(sql: Sql, keys: InspectionKey[]): Promise<Inspection[]> {
  const wanted = keys.map(({ convoId, n, winnerOf }, i) => ({
    i,
    convo_id: convoId,
    n: n ?? null,
    epoch: winnerOf === undefined ? null : winnerOf + 1,
  }))
  const rows = await sql<Row[]>`
    select w.i, c.version, l.entry_id, k.seq, k.epoch, encode(sha256(k.bytes), 'hex') as sha256
    from json_to_recordset(${JSON.stringify(wanted)}::text::json)
      as w(i integer, convo_id text, n bigint, epoch bigint)
    left join conversations c on c.convo_id = w.convo_id
    left join log l on l.convo_id = w.convo_id and l.n = w.n
    left join log k on k.convo_id = w.convo_id and k.epoch = w.epoch
      and k.kind = 'commit' and k.bytes is not null`
  const inspections: Inspection[] = keys.map(() => ({ version: 0 }))
  for (const row of rows) {
    inspections[row.i] = {
      version: Number(row.version ?? 0),
      entryId: row.entry_id ?? undefined,
      winner: row.sha256 ? { seq: Number(row.seq), epoch: Number(row.epoch), sha256: row.sha256 } : undefined,
    }
  }
  return inspections
}
