import { sha256Hex } from '@catbird/shared/bytes'
import { RefusalError } from '@catbird/shared/errors'
import { type Logger, pino } from 'pino'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { eventually } from '../../../../tests/support/eventually.ts'
import { createTestDatabase, openSql, type TestDatabase } from '../../../../tests/support/postgres.ts'
import { type Ephemeral, Ephemerals } from './ephemerals.ts'
import { NotifyChannel } from './notify-channel.ts'

let database: TestDatabase
let sql: ReturnType<typeof openSql>
const opened: Ephemerals[] = []
const logs: string[] = []
const log: Logger = pino({ level: 'debug' }, { write: (line: string) => logs.push(line) })

beforeAll(async () => {
  database = await createTestDatabase()
  sql = openSql(database.url)
})
afterEach(async () => {
  vi.restoreAllMocks()
  await Promise.all(opened.splice(0).map((ephemerals) => ephemerals.stop()))
})
afterAll(async () => {
  await sql?.end()
  await database?.drop()
})

/** One process's share, with what it has heard. */
async function open(onHeard = () => {}): Promise<{ ephemerals: Ephemerals; heard: Ephemeral[] }> {
  const heard: Ephemeral[] = []
  const ephemerals = new Ephemerals({ databaseUrl: database.url, log }, (ephemeral) => {
    heard.push(ephemeral)
    onHeard()
  })
  opened.push(ephemerals)
  await ephemerals.start()
  return { ephemerals, heard }
}

function anEphemeral(changes: Partial<Ephemeral> = {}): Ephemeral {
  return {
    convoId: '0a',
    sender: 'did:plc:alice',
    ciphertext: new Uint8Array([0, 255, 7]),
    epoch: 3,
    ...changes,
  }
}

const numbered = (count: number) => Array.from({ length: count }, (_, epoch) => anEphemeral({ epoch }))

async function expectHeard(heard: Ephemeral[], expected: Ephemeral[]): Promise<void> {
  await eventually('hearing', () => heard.length >= expected.length)
  expect(heard).toEqual(expected)
}

describe('Ephemerals', () => {
  it('bring what is published in one process to all, this one too, as it was', async () => {
    const [one, other] = [await open(), await open()]
    const first = anEphemeral()
    const second = anEphemeral({ convoId: 'ff', sender: 'did:web:x.example%3A1', epoch: 0 })
    await one.ephemerals.publish(first)
    await other.ephemerals.publish(second)
    for (const { heard } of [one, other]) await expectHeard(heard, [first, second])
  })

  it('bring a thousand at once in order, in one statement, and refuse one more', async () => {
    const [one, other] = [await open(), await open()]
    const notify = vi.spyOn(NotifyChannel.prototype, 'notify')
    const all = numbered(1000)
    const published = all.map((ephemeral) => one.ephemerals.publish(ephemeral))
    await expect(one.ephemerals.publish(anEphemeral())).rejects.toMatchObject({
      refusal: { error: 'Overloaded' },
    })
    await Promise.all(published)
    expect(notify.mock.calls.filter(([texts]) => texts.some((text) => text !== ''))).toHaveLength(1)
    await expectHeard(other.heard, all)
    const later = anEphemeral({ epoch: 5000 })
    await one.ephemerals.publish(later)
    await expectHeard(other.heard, [...all, later])
  })

  it('send what came while a statement ran with the next one', async () => {
    const [one, other] = [await open(), await open()]
    const { notify } = NotifyChannel.prototype
    let release = () => {}
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    const statements: number[] = []
    vi.spyOn(NotifyChannel.prototype, 'notify').mockImplementation(async function (
      this: NotifyChannel,
      texts,
    ) {
      statements.push(texts.length)
      await gate
      await notify.call(this, texts)
    })
    const [first, ...rest] = numbered(50)
    const published = [one.ephemerals.publish(first!)]
    await eventually('a statement on its way', () => statements.length > 0)
    for (const ephemeral of rest) published.push(one.ephemerals.publish(ephemeral))
    release()
    await Promise.all(published)
    expect(statements).toEqual([1, 49])
    await expectHeard(other.heard, [first!, ...rest])
  })

  it('tell all who share a statement that it failed, and nobody else', async () => {
    const { ephemerals, heard } = await open()
    vi.spyOn(NotifyChannel.prototype, 'notify').mockRejectedValueOnce(new Error('lost'))
    const lost = await Promise.allSettled(numbered(20).map((ephemeral) => ephemerals.publish(ephemeral)))
    expect(new Set(lost.map(({ status }) => status))).toEqual(new Set(['rejected']))
    await ephemerals.publish(anEphemeral())
    await expectHeard(heard, [anEphemeral()])
  })

  it('carry the largest that there can be and refuse what does not fit', async () => {
    const { ephemerals, heard } = await open()
    const largest = anEphemeral({
      convoId: 'f'.repeat(128),
      sender: `did:plc:${'x'.repeat(2040)}`,
      ciphertext: new Uint8Array(4096).fill(0xfb),
      epoch: Number.MAX_SAFE_INTEGER,
    })
    await ephemerals.publish(largest)
    const tooLarge = [
      { ...largest, ciphertext: new Uint8Array(4600) },
      // Few characters, but many bytes.
      { ...largest, convoId: '\u{1f408}'.repeat(128) },
    ]
    for (const ephemeral of tooLarge) {
      const error = await ephemerals.publish(ephemeral).catch((thrown) => thrown)
      expect(error).toBeInstanceOf(RefusalError)
      expect(error.refusal.error).toBe('MessageTooLarge')
    }
    await expectHeard(heard, [largest])
  })

  it('ignore what they cannot read', async () => {
    const { ephemerals, heard } = await open()
    const valid = { convoId: '0a', sender: 'did:plc:eve', epoch: 1, ciphertext: 'AAAA' }
    const bad = [
      '{',
      'null',
      '[]',
      '7',
      '"text"',
      '{}',
      ...[
        { convoId: 7 },
        { sender: null },
        { epoch: -1 },
        { epoch: 1.5 },
        { epoch: '1' },
        { ciphertext: '?' },
        { ciphertext: undefined },
      ].map((change) => JSON.stringify({ ...valid, ...change })),
      'x'.repeat(7999),
    ]
    const [{ schema }] = await sql<[{ schema: string }]>`select current_schema() as schema`
    const channel = `catbird ephemerals ${sha256Hex(schema).slice(0, 16)}`
    for (const text of [...bad, JSON.stringify(valid)]) await sql`select pg_notify(${channel}, ${text})`
    await ephemerals.publish(anEphemeral())
    await expectHeard(heard, [{ ...valid, ciphertext: new Uint8Array(3) }, anEphemeral()])
  })

  it('go on when one who listens throws, and log that without content', async () => {
    const { ephemerals, heard } = await open(() => {
      throw new Error('a bug')
    })
    logs.length = 0
    const secret = anEphemeral({ sender: 'did:plc:secret', convoId: '5ec2e7' })
    for (let i = 0; i < 2; i++) await ephemerals.publish(secret)
    await expectHeard(heard, [secret, secret])
    expect(logs.filter((line) => line.includes('a bug'))).toHaveLength(2)
    expect(logs.join('')).not.toMatch(/secret|5ec2e7/)
  })

  it('leave nothing in the database', async () => {
    const { ephemerals, heard } = await open()
    const tables = async () => sql<{ name: string; rows: string }[]>`
      select relname as name, (xpath('/row/c/text()', query_to_xml('select count(*) as c from ' || oid::regclass,
        false, true, '')))[1]::text as rows
      from pg_class where relkind = 'r' and relnamespace = current_schema()::regnamespace order by relname`
    const before = await tables()
    expect(before.map(({ name }) => name)).toContain('log')
    await ephemerals.publish(anEphemeral())
    await expectHeard(heard, [anEphemeral()])
    expect(await tables()).toEqual(before)
  })
})
