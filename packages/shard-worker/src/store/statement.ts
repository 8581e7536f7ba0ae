import type postgres from 'postgres'
import type { BatchRows } from './fold-units.ts'

/** Part of a statement. */
export type Fragment = postgres.PendingQuery<postgres.Row[]>

/** Gives one kind of rows to a statement, as JSON: parameters of one type, however many rows. */
export type RowsOf = (name: keyof BatchRows) => Fragment
