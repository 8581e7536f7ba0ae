import { readStreamCursor, writeStreamCursor } from '@catbird/api/events/stream-cursor'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import type { TestClient } from '../support/client.ts'
import { createConvo, messageFor } from '../support/convo.ts'
import { createTestDatabase, openSql, type TestDatabase } from '../support/postgres.ts'
import { MODES, startTestServer, type TestServer } from '../support/server.ts'
import type { StreamEvent } from '../support/streams/event-check.ts'
import { openReader, type ReaderKind, type ReaderOptions } from '../support/streams/stream-reader.ts'
import { newDid, useServer } from '../support/use-server.ts'

type Options = Partial<ReaderOptions>

const KINDS = ['sse', 'socket'] as const
const DAY_MS = 86_400_000

const entriesIn = (events: readonly StreamEvent[]) =>
  events.flatMap((event) =>
    event.type === 'messageEvent' ? [`${event.message.convoId} ${event.message.seq}`] : [],
  )
const infosIn = (events: readonly StreamEvent[]) =>
  events.flatMap((event) => (event.type === 'infoEvent' ? [event.info] : []))
/** Entries of a conversation as `entriesIn` names them. */
const entries = (convoId: string, ...seqs: number[]) => seqs.map((seq) => `${convoId} ${seq}`)
const send = (client: TestClient, convoId: string) =>
  client.ok('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })

async function openOn(server: TestServer, kind: ReaderKind, client: TestClient, options: Options) {
  const reader = await openReader(kind, { url: server.url, token: await client.token(), ...options })
  onTestFinished(() => reader.close())
  return reader
}

async function eventsOn(server: TestServer, kind: ReaderKind, client: TestClient, options: Options) {
  const reader = await openOn(server, kind, client, options)
  await reader.until('caughtUp')
  await reader.close()
  return reader.events.slice(0, -1)
}

describe('a cursor older than the messages that are kept', () => {
  const { people, server } = useServer(MODES[2].env)

  it.each(KINDS)('goes on over %s, and tells first that something may be missing', async (kind) => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    await send(alice, convoId)
    const { cursor } = await (await openOn(server(), kind, alice, { cursor: '0' })).until('caughtUp')
    await send(alice, convoId)
    const aged = (days: number) => {
      const fields = readStreamCursor(cursor)
      return { cursor: writeStreamCursor({ ...fields, atMs: fields.atMs - days * DAY_MS }) }
    }
    expect(infosIn(await eventsOn(server(), kind, alice, aged(29)))).toEqual([])
    const again = await openOn(server(), kind, alice, aged(31))
    const caughtUp = await again.until('caughtUp')
    expect(again.events[0]).toMatchObject({ type: 'infoEvent', info: 'OutdatedCursor' })
    expect(entriesIn(again.events)).toEqual(entries(convoId, 2))
    expect(await eventsOn(server(), kind, alice, { cursor: caughtUp.cursor })).toEqual([])
  })
})

describe('a cursor of another life of the database', () => {
  const database = { current: undefined as TestDatabase | undefined }
  beforeEach(async () => {
    database.current = await createTestDatabase()
  })
  afterEach(() => database.current?.drop())
  const sqlOn = (run: (sql: ReturnType<typeof openSql>) => Promise<unknown>) => {
    const sql = openSql(database.current!.url)
    return run(sql).finally(() => sql.end())
  }
  /** What a member had before the end of one life, an hour after the first two of four messages; and the server after. */
  const liveTwice = async () => {
    const before = await startTestServer(MODES[2].env, database.current)
    const [alice, bob] = [before.as(newDid('alice')), before.as(newDid('bob'))]
    const convoId = await createConvo(alice, { epoch: 0, initialMembers: [bob.did] })
    for (let i = 0; i < 4; i++) await send(alice, convoId)
    const had = await Promise.all(
      [undefined, convoId].map(async (filter) => {
        const reader = await openOn(before, 'sse', bob, { cursor: '0', convoId: filter })
        await reader.until('caughtUp')
        return { filter, events: reader.events }
      }),
    )
    await before.stop()
    await sqlOn(async (sql) => {
      await sql`update log set created_at = created_at - interval '1 hour' where seq <= 2`
      await sql`update incarnations set tag = gen_random_uuid()`
    })
    const server = await startTestServer(MODES[2].env, database.current)
    onTestFinished(() => server.stop())
    return { server, convoId, had, alice: server.as(alice.did), bob: server.as(bob.did) }
  }

  it.each(KINDS)(
    'is told over %s to be outdated, and what is younger is sent again, from five minutes before',
    async (kind) => {
      const { server, convoId, had, alice, bob } = await liveTwice()
      for (const { filter, events } of had) {
        const live = await openOn(server, kind, bob, { cursor: events.at(-1)!.cursor, convoId: filter })
        const { cursor } = await live.until('caughtUp')
        expect(infosIn(live.events)).toEqual(['OutdatedCursor', 'caughtUp'])
        expect(live.events[0]).toMatchObject({ info: 'OutdatedCursor' })
        const again = entriesIn(live.events)
        expect(again).toEqual(entries(convoId, ...[3, 4, 5].slice(0, again.length)))
        expect(again.length).toBeGreaterThan(1)
        const { seq } = await send(alice, convoId)
        await live.next((event) => event.type === 'messageEvent' && event.message.seq === seq)
        await live.close()
        expect(infosIn(await eventsOn(server, kind, bob, { cursor, convoId: filter }))).toEqual([])
        for (const [at, one] of live.events.entries()) {
          const next = entriesIn(live.events.slice(at + 1))
          const rest = entriesIn(await eventsOn(server, kind, bob, { cursor: one.cursor, convoId: filter }))
          expect(rest.slice(rest.length - next.length)).toEqual(next)
        }
      }
    },
  )

  it.each(KINDS)(
    'from within the past lets nothing of the rest be missed over %s, however old',
    async (kind) => {
      const { server, had, bob } = await liveTwice()
      for (const { filter, events } of had) {
        for (const [at, { cursor }] of events.slice(0, -1).entries()) {
          const got = await eventsOn(server, kind, bob, { cursor, convoId: filter })
          expect(got[0]).toMatchObject({ info: 'OutdatedCursor' })
          const rest = entriesIn(events.slice(at + 1))
          expect(entriesIn(got).slice(entriesIn(got).length - rest.length)).toEqual(rest)
        }
      }
    },
  )
})
