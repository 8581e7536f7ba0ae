import { sha256Hex } from '@catbird/shared/bytes'
import { systemClock } from '@catbird/shared/clock'
import type { Command } from '@catbird/shared/commands'
import { newEntryId } from '@catbird/shared/ids'
import postgres from 'postgres'
import { afterAll, beforeAll } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../../../tests/support/postgres.ts'
import { decide, factKeys } from '../conversation/decide.ts'
import { NO_FACTS } from '../conversation/facts.ts'
import { PgStore } from './pg-store.ts'
import type { Unit } from './store.ts'

export const policy = { maxMembers: 1000, messageEpochWindow: 0, messageTtlMs: 86_400_000 }
export const ALICE = 'did:plc:alice'

let database: TestDatabase
export let sql: ReturnType<typeof postgres>
export let store: PgStore
let serial = 0

beforeAll(async () => {
  database = await createTestDatabase()
  sql = postgres(database.url, { max: 4 })
  const base = { url: database.url, incarnation: 1, clock: systemClock, policy }
  store = new PgStore({ ...base, name: 'test', lockers: 2 })
})

afterAll(async () => {
  await store.close()
  await sql.end()
  await database.drop()
})

type Input = { convoId: string } & Record<string, unknown>

/** Decides a command on what the database says now; the unit is not written yet. */
export async function decided(input: Input): Promise<Unit> {
  const base = { caller: ALICE, requestId: 'r', deadlineMs: Date.now() + 10_000, size: 100, keyPackages: [] }
  const command = { ...base, ...input } as unknown as Command
  const state = (await store.load([command.convoId])).get(command.convoId) ?? null
  const keys = factKeys(state, command, false)
  const facts = keys ? (await store.facts([keys]))[0]! : NO_FACTS
  const decision = decide(state, command, facts, { nowMs: Date.now(), entryId: newEntryId(), policy })
  if (decision.outcome !== 'accepted') throw new Error(JSON.stringify(decision))
  const { convoId } = command
  return { convoId, expectedVersion: state?.version ?? 0, changes: [decision.change], final: decision.state }
}

export const create = (convoId: string, more = {}) =>
  decided({
    type: 'createConvo',
    convoId,
    cipherSuite: 's',
    initialMembers: ['did:plc:bob'],
    epoch: 0,
    ...more,
  })

export const bytes = new TextEncoder().encode('content')
export const send = (convoId: string, more = {}) =>
  decided({ type: 'sendMessage', convoId, bytes, sha256: sha256Hex(bytes), epoch: 0, ...more })

export async function newConvo(): Promise<string> {
  const convoId = `c0${(serial++).toString(16).padStart(6, '0')}`
  await store.write([await create(convoId)])
  return convoId
}

export const logOf = async (convoId: string) =>
  (await sql`select n::int, seq::int, kind from log where convo_id = ${convoId} order by n`).map((row) => ({
    ...row,
  }))

export async function addKeyPackage(hash: string, more: Record<string, unknown> = {}): Promise<void> {
  const row = {
    did: 'did:plc:bob',
    hash,
    identity: 'did:plc:bob',
    cipher_suite: 's',
    bytes: Buffer.from(hash),
    last_resort: false,
    expires_at: new Date(Date.now() + 3_600_000),
    ...more,
  }
  await sql`insert into key_packages ${sql(row)}`
}
