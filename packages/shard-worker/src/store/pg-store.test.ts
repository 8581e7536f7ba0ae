import { sha256Hex } from '@catbird/shared/bytes'
import type { Command } from '@catbird/shared/commands'
import { newEntryId } from '@catbird/shared/ids'
import { describe, expect, it } from 'vitest'
import type { PgStore } from './pg-store.ts'
import { ALICE, bytes, newConvo, send, sql, store } from './store.fixture.ts'

describe('PgStore', () => {
  it('G7 finds its own write by the entry id after the connection was lost', async () => {
    const convoId = await newConvo()
    const unit = await send(convoId)
    await store.write([unit])
    expect(await store.write([unit])).toEqual(new Set())
    const [seen] = await store.inspect([{ convoId, n: unit.expectedVersion + 1 }])
    expect(seen).toMatchObject({ version: 3, entryId: unit.changes[0]!.entryId })
  })

  it('says unknown when its connection is ended in the middle of a write', async () => {
    const convoId = await newConvo()
    const unit = await send(convoId)
    await sql.begin(async (holder) => {
      await holder`lock table log in exclusive mode`
      const writing = store.write([unit]).catch((error: unknown) => error)
      await terminateWriter()
      expect(await writing).toMatchObject({ failure: 'unknown' })
    })
    expect(await store.write([unit])).toEqual(new Set([convoId]))
  })

  it('G14 executeLocked names a token that has been used', async () => {
    const convoId = await newConvo()
    const tokenUse = { hash: 'ef'.repeat(16), expiresAtMs: Date.now() + 60_000 }
    const base = { caller: ALICE, requestId: 'r', deadlineMs: Date.now() + 10_000, size: 100, tokenUse }
    const command = {
      ...base,
      type: 'sendMessage',
      convoId,
      bytes,
      sha256: sha256Hex(bytes),
      epoch: 0,
    } as Command
    expect((await store.executeLocked(command, newEntryId())).reply.ok).toBe(true)
    expect(await store.executeLocked(command, newEntryId())).toMatchObject({
      reply: { ok: false, refusal: { error: 'ReplayedToken' } },
    })
  })

  it('executeLocked waits for the row and decides on what the former holder wrote', async () => {
    const convoId = await newConvo()
    const base = { caller: ALICE, requestId: 'r', deadlineMs: Date.now() + 10_000, size: 100 }
    const sha256 = sha256Hex(bytes)
    const command = { ...base, type: 'sendMessage', convoId, bytes, sha256, epoch: 0 } as Command
    let locked: ReturnType<PgStore['executeLocked']> | undefined
    await sql.begin(async (holder) => {
      await holder`select 1 from conversations where convo_id = ${convoId} for no key update`
      locked = store.executeLocked(command, newEntryId())
      await waitForLock('locker')
      await holder`update conversations set epoch = 5 where convo_id = ${convoId}`
    })
    const { reply } = await locked!
    expect(reply).toMatchObject({
      ok: false,
      refusal: { error: 'EpochMismatch', details: { serverEpoch: 5 } },
    })
  })
})

async function terminateWriter(): Promise<void> {
  await sql`select pg_terminate_backend(${await waitForLock('writer')})`
}

/** Pid of the store's backend that waits for a lock. */
async function waitForLock(role: string): Promise<number> {
  for (let tries = 0; tries < 200; tries++) {
    const [row] = await sql<{ pid: number }[]>`
      select pid from pg_stat_activity
      where application_name = ${`catbird-mls test ${role}`} and wait_event_type = 'Lock'
        and datname = current_database()`
    if (row) return row.pid
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error('nobody waited')
}
