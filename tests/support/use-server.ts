import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll } from 'vitest'
import type { TestClient } from './client.ts'
import { openSql } from './postgres.ts'
import { startTestServer, type TestEnv, type TestServer } from './server.ts'

/** One client for each name, in their order. */
type Each<N extends readonly string[]> = { [K in keyof N]: TestClient }

export type SharedServer = {
  as(did: string): TestClient
  /** Clients of these names, under DIDs that no other test uses. */
  people<const N extends readonly string[]>(...names: N): Each<N>
  /** The database behind the server, for what no method shows. */
  sql(): ReturnType<typeof openSql>
  server(): TestServer
}

/** One server for all tests of the enclosing `describe`. */
export function useServer(env: TestEnv = {}): SharedServer {
  let server: TestServer
  let sql: ReturnType<typeof openSql>
  beforeAll(async () => {
    server = await startTestServer({ RATE_LIMIT_ENABLED: 'false', ...env })
    sql = openSql(server.databaseUrl)
  })
  afterAll(async () => {
    await sql?.end()
    await server?.stop()
  })
  return {
    as: (did) => server.as(did),
    people: <const N extends readonly string[]>(...names: N) =>
      names.map((name) => server.as(newDid(name))) as Each<N>,
    sql: () => sql,
    server: () => server,
  }
}

export function newDid(name: string): string {
  return `did:plc:${name}${randomBytes(6).toString('hex')}`
}
