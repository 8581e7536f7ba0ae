import { describe, expect, it } from 'vitest'
import { commitFor, createConvo, messageFor } from '../support/convo.ts'
import { eventually } from '../support/eventually.ts'
import { ascending } from '../support/matchers.ts'
import { base64, publishDevice, welcomeFor } from '../support/real-group.ts'
import { MODES } from '../support/server.ts'
import { killShardThreads } from '../support/shard-threads.ts'
import { useServer } from '../support/use-server.ts'

type Line = Record<string, unknown>

describe.each(MODES)('logs, $name', ({ env }) => {
  const { people, server, sql } = useServer(env)
  const find = (message: string | RegExp): Line[] =>
    server().logs.filter(({ msg }) =>
      typeof message === 'string' ? msg === message : message.test(String(msg)),
    )

  it('let a request be followed into its executor and back by its id, at the level debug', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    const followed = async (epoch: number) => {
      const input = { convoId, epoch, ciphertext: messageFor(convoId, epoch) }
      const id = (await alice.call('sendMessage', input)).headers.get('x-request-id')
      const lines = () => server().logs.filter(({ requestId }) => requestId === id)
      await eventually('the last line', () => lines().some(({ msg }) => msg === 'Request done'))
      return lines().filter(({ level }) => level === 'DEBUG')
    }
    const method = 'blue.catbird.mls.sendMessage'
    const command = { msg: 'Command done', convoId, command: 'sendMessage' }
    expect(await followed(0)).toMatchObject([
      { msg: 'Request received', method },
      { ...command, outcome: 'accepted' },
      { msg: 'Request done', method, status: 200 },
    ])
    expect(await followed(5)).toMatchObject([
      { msg: 'Request received' },
      { ...command, outcome: 'EpochMismatch' },
      { msg: 'Request done', status: 409, error: 'EpochMismatch' },
    ])
  })

  it('tell of a command that the database cannot store, as a fault, with the id of its request', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    await sql()`
      create or replace function refuse() returns trigger language plpgsql as
      $$ begin raise exception 'a poison row' using errcode = 'data_exception', detail = new.sender; end $$`
    await sql()`create trigger poison before insert on log for each row execute function refuse()`
    const sent = await alice.call('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
    await sql()`drop trigger poison on log`
    expect(sent.status).toBe(500)
    const requestId = sent.headers.get('x-request-id')
    await eventually('the line', () => find('A command failed').some((line) => line.requestId === requestId))
    const line = find('A command failed').find((one) => one.requestId === requestId)
    expect(line).toMatchObject({ level: 'ERROR', convoId, command: 'sendMessage' })
    expect(JSON.stringify(line)).toContain('a poison row')
    expect(JSON.stringify(line)).not.toContain(alice.did)
  })

  it('tell each epoch advance and each conflict with the id of the request', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    const commit = async (epoch: number) => {
      const input = { convoId, didList: [], commit: commitFor(convoId, epoch) }
      const { headers } = await alice.call('addMembers', input)
      return headers.get('x-request-id')
    }
    const [advanced, refused] = [await commit(0), await commit(0)]
    expect(advanced).toBeTruthy()
    await eventually('the lines', () => find(/Epoch conflict/).some((line) => line.convoId === convoId))
    expect(find(`Conversation ${convoId} advanced to epoch 1`)).toMatchObject([
      { level: 'INFO', requestId: advanced },
    ])
    expect(find(`Epoch conflict in conversation ${convoId}`)).toMatchObject([
      { level: 'INFO', requestId: refused, serverEpoch: 1, expectedEpoch: 0 },
    ])
  })
})

describe('logs of actors', () => {
  const { people, server, sql } = useServer({ SHARD_COUNT: '2', ACTOR_IDLE_MS: '300' })
  const find = (message: string | RegExp): Line[] =>
    server().logs.filter(({ msg }) =>
      typeof message === 'string' ? msg === message : message.test(String(msg)),
    )

  it('name the executor when the server starts', () => {
    expect(find(/^Serving on port \d+/)).toMatchObject([{ level: 'INFO', executor: 'actors on 2 shards' }])
  })

  it('tell when an actor starts, at which epoch, and when it is passivated', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 1 })
    await eventually('the lines', () => find(`ConversationActor ${convoId} starting at epoch 1`).length === 1)
    expect(find(`Successfully spawned actor for conversation ${convoId}`)).toMatchObject([
      { level: 'INFO', convoId },
    ])
    await eventually('passivation', () => find(`ConversationActor ${convoId} passivated`).length === 1)
    await alice.ok('addMembers', { convoId, didList: [], commit: commitFor(convoId, 1) })
    await eventually(
      'a second start',
      () => find(`Successfully spawned actor for conversation ${convoId}`).length === 2,
    )
  })

  it('do not flood: lines of one kind are capped in each second and the rest is counted', async () => {
    const [alice] = people('alice')
    await Promise.all(ascending(150).map(() => createConvo(alice)))
    const lines = find(/^Successfully spawned actor/)
    const bySecond = Map.groupBy(lines, ({ time }) => Math.floor(Number(time) / 1000))
    for (const some of bySecond.values()) expect(some.length).toBeLessThanOrEqual(2 * 2 * 20)
    await eventually('the count', async () => {
      await createConvo(alice)
      return find('Lines were suppressed').some(({ suppressed }) => Number(suppressed) > 0)
    })
  })

  it('tell of a transaction that took long', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    await sql()`
      create function linger() returns trigger language plpgsql as
      $$ begin perform pg_sleep(0.3); return new; end $$`
    await sql()`create trigger linger before insert on log for each row execute function linger()`
    await alice.ok('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
    await sql()`drop trigger linger on log`
    await eventually('the line', () => find('Slow batch').length > 0)
    expect(find('Slow batch')).toMatchObject([{ level: 'WARN', rows: 1, shard: expect.any(Number) }])
  })

  it('tell that a shard died, as a fault, and that it is back', async () => {
    const before = find('Shard is up').length
    await killShardThreads()
    await eventually('the shards', () => find('Shard is up').length === before + 2)
    const down = find('Shard is down and will be started again')
    expect(down.map(({ level, shard }) => [level, shard]).toSorted()).toEqual([
      ['ERROR', 0],
      ['ERROR', 1],
    ])
  })
})

describe.each(MODES)('logs at the level info, $name', ({ env }) => {
  const { people, server, sql } = useServer(env)

  it('hold no DID, token, key, name or message, not even of a fault, and no refusal as one', async () => {
    const [alice, bob, eve] = people('alice', 'bob', 'eve')
    const device = await publishDevice(bob)
    const welcomeMessage = base64(await welcomeFor(device))
    const secrets = { idempotencyKey: 'secret-key', metadata: { name: 'secret-name' } }
    const keyPackageHashes = [{ did: bob.did, hash: device.hash }]
    const invitation = { initialMembers: [bob.did], welcomeMessage, keyPackageHashes }
    const convoId = await createConvo(alice, { ...invitation, ...secrets, epoch: 0 })
    const ciphertext = messageFor(convoId, 0)
    await alice.ok('sendMessage', { convoId, epoch: 0, ciphertext, msgId: 'secret-id' })
    await eve.call('sendMessage', { convoId, epoch: 0, ciphertext })
    await alice.call('addMembers', { convoId, didList: [eve.did], commit: commitFor(convoId, 3) })
    await alice.call('sendMessage', { convoId, epoch: 0, ciphertext: 'secret!', msgId: 'secret-id' })
    await alice.ok('addMembers', { convoId, didList: [eve.did], commit: commitFor(convoId, 0) })
    await eve.ok('leaveConvo', { convoId })
    const faultless = server().logs.filter(({ level }) => level === 'ERROR' || level === 'FATAL')
    expect(faultless).toEqual([])
    await sql()`alter table key_packages rename to gone`
    const fault = await alice.call('getKeyPackages', { dids: [bob.did] })
    await sql()`alter table gone rename to key_packages`
    expect(fault.status).toBe(500)
    expect(fault.body).toEqual({ error: 'InternalServerError', message: 'internal error' })
    const requestId = fault.headers.get('x-request-id')
    expect(server().logs.filter(({ level }) => level === 'ERROR')).toMatchObject([{ requestId }])

    // An error of the database names the row that it is about.
    await sql()`alter table key_packages add constraint nothing check (false) not valid`
    await expect(publishDevice(bob)).rejects.toThrow()
    await sql()`alter table key_packages drop constraint nothing`
    const failed = server().logs.filter(({ level }) => level === 'ERROR')
    expect(JSON.stringify(failed)).toContain('violates check constraint')

    const text = JSON.stringify(server().logs.filter(({ level }) => level !== 'DEBUG' && level !== 'TRACE'))
    expect(text).not.toMatch(/did:plc:|secret|eyJ/)
    for (const bytes of [ciphertext.$bytes, welcomeMessage, base64(device.bytes), await alice.token()]) {
      expect(text.includes(bytes.slice(0, 40))).toBe(false)
    }
  })
})

describe.each<{ where: string; env: Record<string, string> }>([
  { where: 'on a public address', env: { HOST: '0.0.0.0', SERVICE_DID: 'did:web:localhost' } },
  { where: 'with a public URL', env: { PUBLIC_URL: 'https://mls.example.com' } },
  { where: 'behind a proxy', env: { TRUSTED_PROXIES: '127.0.0.1', SERVICE_DID: 'did:web:localhost' } },
])('logs of a server $where', ({ env }) => {
  const { server } = useServer({ ...MODES[2].env, ...env })

  it('warn that whoever has JWT_SECRET can act as anybody', () => {
    const warnings = server().logs.filter(({ level }) => level === 'WARN')
    expect(warnings).toMatchObject([{ msg: expect.stringContaining('JWT_SECRET') }])
  })
})

describe('logs of a server for this machine', () => {
  const { server } = useServer({ ...MODES[2].env, SERVICE_DID: 'did:web:localhost%3A3000' })

  it('do not warn', () => {
    expect(server().logs.filter(({ level }) => level === 'WARN')).toEqual([])
  })
})
