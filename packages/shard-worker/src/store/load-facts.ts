import { timestamp } from '@catbird/shared/clock'
import type { Answer } from '@catbird/shared/commands'
import type { Sql } from '@catbird/shared/sql'
import type { FactKeys, Facts, KeyPackageFact } from '../conversation/facts.ts'

/** Reads the facts of all waiting commands: one statement per kind of fact that is asked for, pipelined. */
export async function loadFacts(sql: Sql, keys: FactKeys[]): Promise<Facts[]> {
  const facts: Facts[] = keys.map(() => ({ keyPackages: [], formerMembers: [] }))
  await Promise.all([
    loadRecords(sql, keys, facts),
    loadMessages(sql, keys, facts),
    loadKeyPackages(sql, keys, facts),
    loadFormerMembers(sql, keys, facts),
    loadTokens(sql, keys, facts),
    loadErased(sql, keys, facts),
  ])
  return facts
}

async function loadRecords(sql: Sql, keys: FactKeys[], facts: Facts[]): Promise<void> {
  const wanted = keys.flatMap(({ record }, i) => (record ? [{ i, ...record }] : []))
  if (wanted.length === 0) return
  const rows = await sql<{ i: number; content_hash: string; answer: Answer }[]>`
    select w.i, r.content_hash, r.answer
    from json_to_recordset(${JSON.stringify(wanted)}::text::json)
      as w(i integer, caller text, method text, key text)
    join idempotency r using (caller, method, key)`
  for (const row of rows) facts[row.i]!.record = { contentHash: row.content_hash, answer: row.answer }
}

type MessageRow = {
  i: number
  sender: string
  content_hash: string | null
  message_id: string
  seq: string
  epoch: string
  log_hash: Buffer
  created_at: Date
}

async function loadMessages(sql: Sql, keys: FactKeys[], facts: Facts[]): Promise<void> {
  const wanted = keys.flatMap(({ convoId, messageId }, i) =>
    messageId === undefined ? [] : [{ i, convo_id: convoId, message_id: messageId }],
  )
  if (wanted.length === 0) return
  const rows = await sql<MessageRow[]>`
    select w.i, l.sender, l.content_hash, l.message_id, l.seq, l.epoch, l.log_hash, l.created_at
    from json_to_recordset(${JSON.stringify(wanted)}::text::json)
      as w(i integer, convo_id text, message_id text)
    join log l using (convo_id, message_id)`
  for (const row of rows) {
    facts[row.i]!.message = {
      sender: row.sender,
      contentHash: row.content_hash,
      answer: {
        messageId: row.message_id,
        receivedAt: timestamp(row.created_at.getTime()),
        seq: Number(row.seq),
        epoch: Number(row.epoch),
        logHash: row.log_hash.toString('hex'),
      },
    }
  }
}

type KeyPackageRow = {
  i: number
  did: string
  hash: string
  ref: string | null
  last_resort: boolean
  consumed_by: string | null
}

async function loadKeyPackages(sql: Sql, keys: FactKeys[], facts: Facts[]): Promise<void> {
  const wanted = keys.flatMap(({ keyPackages = [] }, i) => keyPackages.map((name) => ({ i, ...name })))
  if (wanted.length === 0) return
  const rows = await sql<KeyPackageRow[]>`
    select w.i, k.did, k.hash, k.ref, k.last_resort, k.consumed_by
    from json_to_recordset(${JSON.stringify(wanted)}::text::json) as w(i integer, did text, hash text)
    join key_packages k on k.did = w.did and (k.hash = w.hash or k.ref = w.hash)`
  for (const { i, did, hash, ref, last_resort, consumed_by } of rows) {
    const fact: KeyPackageFact = { did, hash, ref, lastResort: last_resort, consumedBy: consumed_by }
    facts[i]!.keyPackages.push(fact)
  }
}

async function loadFormerMembers(sql: Sql, keys: FactKeys[], facts: Facts[]): Promise<void> {
  const wanted = keys.flatMap(({ convoId, formerMembers = [] }, i) =>
    formerMembers.map((did) => ({ i, convo_id: convoId, did })),
  )
  if (wanted.length === 0) return
  const rows = await sql<{ i: number; did: string }[]>`
    select distinct w.i, w.did
    from json_to_recordset(${JSON.stringify(wanted)}::text::json) as w(i integer, convo_id text, did text)
    join members m on m.convo_id = w.convo_id and m.did = w.did and m.left_n is not null`
  for (const row of rows) facts[row.i]!.formerMembers.push(row.did)
}

async function loadTokens(sql: Sql, keys: FactKeys[], facts: Facts[]): Promise<void> {
  const wanted = keys.flatMap(({ tokenHash }, i) => (tokenHash === undefined ? [] : [{ i, hash: tokenHash }]))
  if (wanted.length === 0) return
  const rows = await sql<{ i: number }[]>`
    select w.i from json_to_recordset(${JSON.stringify(wanted)}::text::json) as w(i integer, hash text)
    join used_tokens u on u.hash = decode(w.hash, 'hex')`
  for (const { i } of rows) facts[i]!.isTokenUsed = true
}

async function loadErased(sql: Sql, keys: FactKeys[], facts: Facts[]): Promise<void> {
  const wanted = keys.flatMap(({ convoId, isNew }, i) => (isNew ? [{ i, convo_id: convoId }] : []))
  if (wanted.length === 0) return
  const rows = await sql<{ i: number }[]>`
    select w.i from json_to_recordset(${JSON.stringify(wanted)}::text::json) as w(i integer, convo_id text)
    join erased_convos e using (convo_id)`
  for (const { i } of rows) facts[i]!.wasErased = true
}
