import type { ServerResponse } from 'node:http'
import { P256Keypair, Secp256k1Keypair } from '@atproto/crypto'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { signingKeyOf } from '../signing-key.ts'
import type { VerifyKey } from '../verify-key.ts'
import { DidHost, documentOf, json, newMultikey, status } from './did-host.fixture.ts'
import { DidKeys, type DidKeysOptions, KEY_LIMITS } from './did-keys.ts'
import { publicFetch } from './public-fetch.ts'

const ALICE = 'did:plc:alice'
const MINUTE_MS = 60_000
const [FIRST = '', SECOND = ''] = await Promise.all([newMultikey(), newMultikey()])
const refused = { reason: 'identity', refusal: { error: 'InvalidToken' } }
const unavailable = { refusal: { error: 'IdentityUnavailable' } }

let plc: DidHost
let nowMs: number
let keys: DidKeys

const toKey = (multikey: string) => ({ multikey }) as unknown as VerifyKey
const makeKeys = (limits: DidKeysOptions['limits'] = {}, more: Partial<DidKeysOptions> = {}) =>
  new DidKeys({
    plcUrl: plc.url,
    allowLocalhost: true,
    toKey,
    clock: { now: () => nowMs, sleep: async () => {} },
    limits: { timeoutMs: 30_000, ...limits },
    ...more,
  })
const find = (did = ALICE) => keys.find(did).catch((error) => error)
const refresh = (did = ALICE) => keys.refresh(did).catch((error) => error)
const publish = (multikey: string) => plc.publish(documentOf(ALICE, multikey))
const fail = (code: number) => {
  plc.answer = (response) => status(response, code)
}

beforeEach(async () => {
  plc = await DidHost.start()
  nowMs = Date.UTC(2026, 0, 1)
  keys = makeKeys()
})
afterEach(() => plc.close())

describe('DidKeys.find', () => {
  it('finds the key of a did:plc and of a did:web', async () => {
    publish(FIRST)
    expect(await find()).toEqual({ multikey: FIRST })
    plc.publish(documentOf(plc.did, SECOND))
    expect(await find(plc.did)).toEqual({ multikey: SECOND })
  })

  it('finds keys that verify what the account signs, on both curves', async () => {
    keys = makeKeys({}, { toKey: signingKeyOf })
    const data = Buffer.from('signed')
    for (const [name, keypair] of [
      ['k', await Secp256k1Keypair.create()],
      ['p', await P256Keypair.create()],
    ] as const) {
      const did = `did:plc:${name}`
      plc.publish(documentOf(did, keypair.did().slice('did:key:'.length)))
      const key = await keys.find(did)
      expect(key.algorithm).toBe(keypair.jwtAlg)
      expect(key.verify(data, await keypair.sign(data))).toBe(true)
      expect(key.verify(Buffer.from('other'), await keypair.sign(data))).toBe(false)
    }
  })

  it('asks again only after five minutes', async () => {
    publish(FIRST)
    await find()
    publish(SECOND)
    nowMs += 5 * MINUTE_MS - 1
    expect(await find()).toEqual({ multikey: FIRST })
    expect(plc.asked).toHaveLength(1)
    nowMs += 1
    expect(await find()).toEqual({ multikey: SECOND })
  })

  it('asks once for everybody who wants the same key at the same time', async () => {
    publish(FIRST)
    const all = await Promise.all(Array.from({ length: 100 }, () => find()))
    expect(all).toEqual(Array(100).fill({ multikey: FIRST }))
    expect(plc.asked).toHaveLength(1)
  })

  it('goes on with a key that it has seen within the hour while the directory is down', async () => {
    publish(FIRST)
    await find()
    fail(500)
    nowMs += 5 * MINUTE_MS
    expect(await find()).toEqual({ multikey: FIRST })
    nowMs += 55 * MINUTE_MS - 1
    expect(await find()).toEqual({ multikey: FIRST })
    nowMs += 1001
    expect(await find()).toMatchObject(unavailable)
  })

  it('makes nobody wait again and again while the directory hangs, and hears when it is back', async () => {
    publish(FIRST)
    await find()
    fail(500)
    nowMs += 5 * MINUTE_MS
    await find()
    expect(await find()).toEqual({ multikey: FIRST })

    let reply = () => {}
    const asked = new Promise<void>((resolve) => {
      plc.answer = (response) => {
        reply = () => json(response, documentOf(ALICE, SECOND))
        resolve()
      }
    })
    nowMs += 2000
    expect(await find()).toEqual({ multikey: FIRST })
    await asked
    reply()
    expect(await refresh()).toEqual({ multikey: SECOND })
    expect(await find()).toEqual({ multikey: SECOND })
    expect(plc.asked).toHaveLength(3)
  })

  it('waits for the answer when it has not tried for a while', async () => {
    publish(FIRST)
    await find()
    fail(500)
    nowMs += 5 * MINUTE_MS
    await find()
    publish(SECOND)
    nowMs += 10_000
    expect(await find()).toEqual({ multikey: SECOND })
  })

  it.each([
    ['down', 503],
    ['asking for patience', 429],
  ])('says that it cannot tell while the directory is %s, and pauses for a second', async (_how, code) => {
    fail(code)
    expect(await find()).toMatchObject(unavailable)
    expect(await find()).toMatchObject(unavailable)
    expect(plc.asked).toHaveLength(1)
    publish(FIRST)
    nowMs += 1000
    expect(await find()).toEqual({ multikey: FIRST })
  })

  it('says that it cannot tell when the directory does not answer in time', async () => {
    plc.answer = () => {}
    keys = makeKeys({ timeoutMs: 100 })
    expect(await find()).toMatchObject(unavailable)
  })

  it.each([
    ['that is unknown', () => fail(404)],
    ['that has a tombstone', () => fail(410)],
    ['without a usable key', () => publish('zNotAKey')],
    ['with the document of another', () => plc.publish(documentOf('did:plc:bob', FIRST))],
  ])('refuses a DID %s, and remembers that for half a minute', async (_what, break_) => {
    break_()
    expect(await find()).toMatchObject(refused)
    publish(FIRST)
    nowMs += 29_999
    expect(await find()).toMatchObject(refused)
    expect(plc.asked).toHaveLength(1)
    nowMs += 1
    expect(await find()).toEqual({ multikey: FIRST })
  })

  it('forgets a key as soon as the document says that it is gone, also when the directory then fails', async () => {
    publish(FIRST)
    await find()
    fail(410)
    nowMs += 5 * MINUTE_MS
    expect(await find()).toMatchObject(refused)
    fail(500)
    nowMs += 30_000
    expect(await find()).toMatchObject(unavailable)
  })

  it('refuses DIDs of private hosts and other methods without asking anyone', async () => {
    const loopback = publicFetch(async () => [{ address: '127.0.0.1', family: 4 }])
    keys = makeKeys({}, { fetchPublic: loopback })
    for (const did of [
      'did:web:127.0.0.1',
      'did:web:alice.test',
      'did:web:alice.test:path',
      'did:key:z6Mk',
    ]) {
      expect(await find(did)).toMatchObject(refused)
      expect(await refresh(did)).toMatchObject(refused)
    }
    expect(plc.asked).toEqual([])
  })

  it('answers ten thousand unknown DIDs at once with a bounded number of requests', async () => {
    keys = makeKeys({ maxRunning: 16, maxWaiting: 200 })
    const open: ServerResponse[] = []
    plc.answer = (response) => open.push(response)
    const all = Array.from({ length: 10_000 }, (_, index) => find(`did:plc:nobody${index}`))
    for (let left = 216; left > 0; left -= 16) {
      await vi.waitFor(() => expect(open).toHaveLength(Math.min(16, left)), 30_000)
      for (const response of open.splice(0)) status(response, 404)
    }
    const errors = await Promise.all(all)
    expect(plc.asked).toHaveLength(216)
    expect(errors.filter((error) => error.reason === 'identity')).toHaveLength(216)
    expect(errors.filter((error) => error.refusal.error === 'IdentityUnavailable')).toHaveLength(9784)
  })

  it('does not let unknown DIDs displace a known one, nor keep more of them than it may', async () => {
    keys = makeKeys({ maxKeys: 1, maxRefusals: 2 })
    publish(FIRST)
    await find()
    for (const name of ['a', 'b', 'c']) expect(await find(`did:plc:${name}`)).toMatchObject(refused)
    expect(await find()).toEqual({ multikey: FIRST })
    expect(plc.asked).toHaveLength(4)
    await find('did:plc:c')
    expect(plc.asked).toHaveLength(4)
    await find('did:plc:a')
    expect(plc.asked).toHaveLength(5)
  })

  it('keeps no more keys than it may, and a hundred thousand unless told', async () => {
    expect(KEY_LIMITS.maxKeys).toBe(100_000)
    keys = makeKeys({ maxKeys: 1 })
    publish(FIRST)
    await find()
    plc.publish(documentOf('did:plc:bob', SECOND))
    await find('did:plc:bob')
    expect(await find('did:plc:bob')).toEqual({ multikey: SECOND })
    expect(plc.asked).toHaveLength(2)
    publish(FIRST)
    expect(await find()).toEqual({ multikey: FIRST })
    expect(plc.asked).toHaveLength(3)
  })
})

describe('DidKeys.refresh', () => {
  beforeEach(async () => {
    publish(FIRST)
    await find()
  })

  it('sees a changed key at once, for all who ask from then on', async () => {
    publish(SECOND)
    const all = await Promise.all([refresh(), refresh(), refresh()])
    expect(all).toEqual(Array(3).fill({ multikey: SECOND }))
    expect(await find()).toEqual({ multikey: SECOND })
    expect(plc.asked).toHaveLength(2)
  })

  it('looks at one DID once in half a minute', async () => {
    expect(await refresh()).toEqual({ multikey: FIRST })
    publish(SECOND)
    nowMs += 29_999
    expect(await refresh()).toBeUndefined()
    nowMs += 1
    expect(await refresh()).toEqual({ multikey: SECOND })
  })

  it('looks twenty times in a second, over all DIDs', async () => {
    fail(404)
    const refreshMany = (from: number) =>
      Promise.all(Array.from({ length: 25 }, (_, index) => refresh(`did:plc:other${from + index}`)))
    const looks = (all: unknown[]) => all.filter((one) => one !== undefined).length
    expect(looks(await refreshMany(0))).toBe(20)
    nowMs += 500
    expect(looks(await refreshMany(100))).toBe(10)
    nowMs += MINUTE_MS
    expect(looks(await refreshMany(200))).toBe(20)
  })

  it('leaves the key alone when the directory is down', async () => {
    fail(500)
    expect(await refresh()).toBeUndefined()
    expect(await find()).toEqual({ multikey: FIRST })
  })

  it('takes the key away when the document says that it is gone', async () => {
    fail(410)
    expect(await refresh()).toMatchObject(refused)
    expect(await find()).toMatchObject(refused)
  })
})
