import type { Pool } from '@catbird/shared/sql'
import type { LogRow } from './log-row.ts'
import type { Reader } from './read-memberships.ts'
import { type PastConvo, readPast, readPastConvos } from './read-past.ts'
import type { Place, StreamPosition, Target } from './stream-cursor.ts'

export type BackfillOptions = {
  reader: Reader
  incarnation: number
  /** Runs a query, when its turn has come. */
  query: <T>(run: (sql: Pool) => Promise<T>) => Promise<T>
}

/** Rows, and the round that they belong to: with a row as its place, it is what a reader of the row has had. */
export type PastPage = { round: Round; rows: LogRow[] }

type Round = Omit<StreamPosition, 'place'> & { target: Target }

/**
 * Reads what a reader has not had, up to a snapshot, page by page, conversation by conversation in the order of their
 * ids: the order within each is what counts. A reader that comes back with the position of any row goes on behind it.
 */
export async function* backfill(
  { reader, incarnation, query }: BackfillOptions,
  { since, atMs, place, target }: StreamPosition,
  until: Target,
): AsyncGenerator<PastPage> {
  if (target && place) {
    // An earlier backfill broke off: its own end comes first, so that one position says what was had.
    yield* round({ since, atMs, target }, place)
    yield* round({ since: { kind: 'snapshot', snapshot: target.snapshot }, atMs: target.atMs, target: until })
  } else {
    yield* round({ since, atMs, target: until }, undefined, place)
  }

  /** @param from where to go on @param had of one conversation, whatever `since` says */
  async function* round(round: Round, from?: Place, had = from): AsyncGenerator<PastPage> {
    const { since, target } = round
    let first = from && { convoId: from.convoId, isIncluded: true }
    for (;;) {
      const found = await query((sql) => readPastConvos(sql, incarnation, reader, since, first))
      if (found.length === 0) return
      let convos = found.map((convo) => startedAt(convo, had))
      while (convos.length > 0) {
        const page = await query((sql) => readPast(sql, incarnation, convos, target.snapshot))
        if (page.rows.length > 0) yield { round, rows: page.rows }
        convos = page.more ? remaining(convos, page.rows.at(-1)!) : []
      }
      first = { convoId: found.at(-1)!.convoId, isIncluded: false }
    }
  }
}

function startedAt(convo: PastConvo, had: Place | undefined): PastConvo {
  const afterN = had?.convoId === convo.convoId ? Math.max(convo.afterN, had.n) : convo.afterN
  return { ...convo, afterN }
}

function remaining(convos: readonly PastConvo[], last: LogRow): PastConvo[] {
  const index = convos.findIndex(({ convoId }) => convoId === last.convoId)
  return convos.slice(index).map((convo, i) => (i === 0 ? { ...convo, afterN: last.n } : convo))
}
