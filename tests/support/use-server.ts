import { randomBytes } from 'node:crypto'
import postgres from 'postgres'
import { afterAll, beforeAll } from 'vitest'
import type { TestClient } from './client.ts'
import { startTestServer, type TestEnv, type TestServer } from './server.ts'

export type SharedServer = {
  as(did: string): TestClient
  /** Clients of these names, under DIDs that no other test uses. */
  people(...names: string[]): TestClient[]
  /** The database behind the server, for what no method shows. */
  sql(): postgres.Sql
  server(): TestServer
}

/** One server for all tests of the enclosing `describe`. */
export function useServer(env: TestEnv = {}): SharedServer {
  let server: TestServer
  let sql: postgres.Sql
  beforeAll(async () => {
    server = await startTestServer({ RATE_LIMIT_ENABLED: 'false', ...env })
    sql = postgres(server.databaseUrl, { max: 1, onnotice: () => {} })
  })
  afterAll(async () => {
    await sql?.end()
    await server?.stop()
  })
  return {
    as: (did) => server.as(did),
    people: (...names) => names.map((name) => server.as(newDid(name))),
    sql: () => sql,
    server: () => server,
  }
}

export function newDid(name: string): string {
  return `did:plc:${name}${randomBytes(6).toString('hex')}`
}
