/**
 * What a reader of the database sees: the effects of all transactions below `xmax`, but for those in `xip`, which were
 * running. A row's position is the id of the transaction that wrote it, so that a snapshot says of each row whether it
 * is among what was seen, also long after (PostgreSQL, pg_snapshot).
 */
export type Snapshot = {
  xmax: number
  /** Ascending. */
  xip: readonly number[]
}

/** A snapshot in PostgreSQL's text form, `xmin:xmax:xip,…`. */
export function parseSnapshot(text: string): Snapshot {
  const [, xmax, xip] = text.split(':')
  return { xmax: Number(xmax), xip: xip ? xip.split(',').map(Number) : [] }
}

/** The lowest id that was not finished: everything below is seen. */
export function horizonOf({ xmax, xip }: Snapshot): number {
  return xip[0] ?? xmax
}

/** What of the snapshot lies below a position: it says less, and never what the other does not say. */
export function below(position: number, { xmax, xip }: Snapshot): Snapshot {
  return { xmax: Math.min(position, xmax), xip: xip.filter((id) => id < position) }
}
