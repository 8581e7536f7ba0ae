import { describe, expect, it } from 'vitest'
import { createConvo, messageFor, newGroupId, SUITE } from '../support/convo.ts'
import { eventually } from '../support/eventually.ts'
import { expectError } from '../support/expect-error.ts'
import { openRequest, sendRaw } from '../support/http.ts'
import { MODES } from '../support/server.ts'
import { newDid, useServer } from '../support/use-server.ts'

const JSON_TYPE = 'application/json'
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

describe('request bodies', () => {
  const { as, server } = useServer(MODES[0].env)
  const urlOf = (name: string) => `${server().url}/xrpc/blue.catbird.mls.${name}`
  const headersOf = async (type: string | undefined = JSON_TYPE) => ({
    Authorization: `Bearer ${await as('did:plc:alice').token()}`,
    ...(type && { 'Content-Type': type }),
  })
  const post = async (name: string, body: string | Uint8Array, type?: string) =>
    sendRaw(urlOf(name), { headers: await headersOf(type), body })
  const creation = () => JSON.stringify({ groupId: newGroupId(), cipherSuite: SUITE })

  it('are JSON by their type', async () => {
    for (const type of [
      'application/json',
      'application/json; charset=utf-8',
      'APPLICATION/JSON;charset=UTF-8',
    ]) {
      expect((await post('createConvo', creation(), type)).status, type).toBe(200)
    }
    for (const type of [
      'text/plain',
      'application/jsonx',
      'application/octet-stream',
      'multipart/form-data',
      '',
    ]) {
      expectError(await post('createConvo', creation(), type), 'UnsupportedMediaType')
    }
  })

  it('are JSON objects', async () => {
    const bad = [
      '',
      '{',
      '{"groupId":}',
      creation().slice(0, -1),
      `${creation()}x`,
      "{'a':1}",
      '\u0000',
      'NaN',
    ]
    for (const body of [...bad, 'null', '[]', '1', '"x"', 'true', '[{}]']) {
      expectError(await post('createConvo', body), 'InvalidRequest')
    }
    expectError(await post('createConvo', Buffer.from([0xff, 0xfe, 0x7b, 0x7d])), 'InvalidRequest')
  })

  it('may be nested and huge without harm', async () => {
    const convoId = newGroupId()
    const deep = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
    for (const value of [deep(31), `{"a":${deep(30)}}`, '1e999', '-0', '"\\ud800"', '"\\u0000"']) {
      const body = `{"convoId":${value},"cursor":"1"}`
      expectError(await post('updateCursor', body), 'InvalidRequest')
      const answer = await post('updateCursor', `{"convoId":"${convoId}","cursor":"1","more":${value}}`)
      expectError(answer, 'ConvoNotFound')
    }
    const large = JSON.stringify({ convoId, epoch: 0, ciphertext: { $bytes: 'A'.repeat(13_900_000) } })
    expectError(await post('sendMessage', large), 'InvalidMessage')
  })

  it('of more than 32 levels or 100 000 values are refused, known keys or not', async () => {
    const convoId = newGroupId()
    const deep = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
    for (const value of [deep(32), deep(10_000), '['.repeat(60_000), `{"a":${deep(5000)}}`]) {
      const answer = await post('updateCursor', `{"convoId":"${convoId}","cursor":"1","more":${value}}`)
      expectError(answer, 'InvalidRequest')
    }
    const many = `{"convoId":"${convoId}","epoch":0,"ciphertext":"","more":[${'{},'.repeat(1_000_000)}{}]}`
    expectError(await post('sendMessage', many), 'InvalidRequest')
  })

  it('reach no prototype', async () => {
    const groupId = newGroupId()
    const inherited = `{"__proto__":{"groupId":"${groupId}","cipherSuite":"${SUITE}"}}`
    expectError(await post('createConvo', inherited), 'InvalidRequest')
    const polluting = `{"groupId":"${groupId}","cipherSuite":"${SUITE}","__proto__":{"epoch":1,"x":1},"constructor":{"prototype":{"x":1}},"metadata":{"__proto__":{"name":"x"}}}`
    const answer = await post('createConvo', polluting)
    expect(answer.body).toMatchObject({ id: groupId, epoch: 0 })
    expect(answer.body.metadata ?? {}).toEqual({})
    expect(({} as { x?: number }).x).toBeUndefined()
  })

  it.each([
    { name: 'updateCursor', bytes: 1_000_000 },
    { name: 'publishKeyPackage', bytes: 1_000_000 },
    { name: 'sendMessage', bytes: 20_000_000 },
    { name: 'createConvo', bytes: 40_000_000 },
    { name: 'addMembers', bytes: 40_000_000 },
    { name: 'leaveConvo', bytes: 40_000_000 },
  ])('over the limit of $name are refused by their length alone', async ({ name, bytes }) => {
    const headers = { ...(await headersOf()), 'Content-Length': bytes }
    const { answer, outgoing } = openRequest(urlOf(name), { headers, end: false })
    expectError(await answer, 'PayloadTooLarge')
    outgoing.destroy()
  })

  it('over the limit are refused in the middle when their length was not told', async () => {
    const headers = { ...(await headersOf()), 'Transfer-Encoding': 'chunked' }
    const { answer, outgoing } = openRequest(urlOf('updateCursor'), { headers, end: false })
    const chunk = ' '.repeat(16_384)
    for (let i = 0; i < 100 && !outgoing.destroyed; i++) outgoing.write(chunk)
    expectError(await answer, 'PayloadTooLarge')
    outgoing.destroy()
  })

  it('in chunks are taken within the limit', async () => {
    const headers = { ...(await headersOf()), 'Transfer-Encoding': 'chunked' }
    const { answer, outgoing } = openRequest(urlOf('createConvo'), { headers, end: false })
    for (const part of creation().match(/.{1,20}/g)!) {
      outgoing.write(part)
      await sleep(1)
    }
    outgoing.end()
    expect((await answer).status).toBe(200)
  })

  it('that are cut off leave nothing behind', async () => {
    const alice = as(newDid('alice'))
    const convoId = await createConvo(alice, { epoch: 0 })
    const body = JSON.stringify({ convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
    const headers = {
      Authorization: `Bearer ${await alice.token()}`,
      'Content-Type': JSON_TYPE,
      'Content-Length': body.length,
    }
    for (const length of [0, 10, body.length - 1]) {
      const sent = openRequest(urlOf('sendMessage'), { headers, body: body.slice(0, length), end: false })
      sent.answer.catch(() => {})
      await sleep(50)
      sent.outgoing.destroy()
    }
    await sleep(50)
    expect(await alice.ok('getEpoch', { convoId })).toMatchObject({ lastSeq: 0 })
    expect(server().logs.filter(({ level }) => level === 'ERROR')).toEqual([])
  })
})

describe('request bodies with a server that waits 500 ms', () => {
  const { as, server } = useServer({ ...MODES[0].env, REQUEST_TIMEOUT_MS: '500' })

  it('that do not arrive in time are refused', async () => {
    const headers = {
      Authorization: `Bearer ${await as('did:plc:alice').token()}`,
      'Content-Type': JSON_TYPE,
      'Content-Length': 100,
    }
    const url = `${server().url}/xrpc/blue.catbird.mls.updateCursor`
    const { answer, outgoing } = openRequest(url, { headers, body: '{', end: false })
    expectError(await answer, 'InvalidRequest')
    outgoing.destroy()
  })
})

describe('requests in flight, with MAX_INFLIGHT_BYTES of 64 MiB', () => {
  const { as, server } = useServer({ ...MODES[0].env, MAX_INFLIGHT_BYTES: `${64 * 2 ** 20}` })

  const url = () => `${server().url}/xrpc/blue.catbird.mls.sendMessage`
  const LENGTH = 13_900_000
  /** Announces that many bytes and sends some of them. */
  const open = (authorization: string, sent: number) =>
    openRequest(url(), {
      headers: { Authorization: authorization, 'Content-Type': JSON_TYPE, 'Content-Length': LENGTH },
      body: Buffer.alloc(sent, '"'),
      end: false,
    })

  it('count by what has come: what is only announced keeps nobody out', async () => {
    const alice = as(newDid('alice'))
    const convoId = await createConvo(alice, { epoch: 0 })
    const idle = Array.from({ length: 50 }, async () => open(`Bearer ${await alice.token()}`, 1))
    const opened = await Promise.all(idle)
    for (const { answer } of opened) answer.catch(() => {})
    await alice.ok('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0, 2 ** 20) })
    for (const { outgoing } of opened) outgoing.destroy()
  })

  it('over the bound are refused, before authentication or as they come, and taken once there is room', async () => {
    const alice = as(newDid('alice'))
    const convoId = await createConvo(alice, { epoch: 0 })
    const send = { convoId, epoch: 0, ciphertext: messageFor(convoId, 0, 2 ** 20) }
    const authorization = `Bearer ${await alice.token()}`
    // Two of them are more than 64 MiB in three copies.
    const holding = Array.from({ length: 2 }, () => open(authorization, LENGTH - 1))
    const refused = await Promise.any(holding.map(({ answer }) => answer))
    expectError(refused, 'Overloaded')
    for (const { answer } of holding) answer.catch(() => {})
    // Without a token: who is told so was not asked for one yet.
    await eventually('the bound', async () => (await open('', 1).answer).body.error === 'Overloaded')
    expectError(await open('', 1).answer, 'Overloaded')
    for (const { outgoing } of holding) outgoing.destroy()
    await eventually('room', async () => (await alice.call('sendMessage', send)).status === 200)
    expect(await alice.ok('getEpoch', { convoId })).toMatchObject({ lastSeq: 1 })
  })
})
