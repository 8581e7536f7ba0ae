import { randomBytes } from 'node:crypto'
import type { Sql } from '@catbird/shared/sql'

const SECRET_BYTES = 32

/** A secret that all processes on this database share; made by whichever asks first, 32 bytes. */
export async function sharedSecret(sql: Sql, name: string): Promise<Buffer> {
  await sql`insert into secrets (name, value) values (${name}, ${randomBytes(SECRET_BYTES)}) on conflict do nothing`
  const [row] = await sql<{ value: Buffer }[]>`select value from secrets where name = ${name}`
  return row!.value
}
