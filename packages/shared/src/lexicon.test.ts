import { describe, expect, expectTypeOf, test } from 'vitest'
import { RefusalError } from './errors.ts'
import type { ProcedureNsid, QueryNsid, SendMessageInput } from './lexicon/types.ts'
import { bytesFields, parseInput, parseParams } from './lexicon.ts'

const SUITE = 'MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519'
const MIB = 1024 * 1024
const bytes = new Uint8Array([251, 255, 254, 0])
const send = { convoId: 'aa', ciphertext: '+//+AA==', epoch: 0 }
const dids = (count: number) => Array.from({ length: count }, (_, i) => `did:plc:m${i}`)

function outcome(parse: () => unknown): unknown {
  try {
    return parse()
  } catch (error) {
    if (error instanceof RefusalError) return error.refusal.error
    throw error
  }
}
const input = (method: string, json: unknown) =>
  outcome(() => parseInput(`blue.catbird.mls.${method}` as ProcedureNsid, json))
const sendWith = (change: object) => input('sendMessage', { ...send, ...change })
const params = (method: string, query: string) =>
  outcome(() => parseParams(`blue.catbird.mls.${method}` as QueryNsid, new URLSearchParams(query)))

describe('parseInput', () => {
  test('has the type of the method', () => {
    const parsed = parseInput('blue.catbird.mls.sendMessage', send)
    expectTypeOf(parsed).toEqualTypeOf<SendMessageInput>()
    expect(parsed).toEqual({ convoId: 'aa', ciphertext: bytes, epoch: 0 })
  })

  test.each([
    ['standard with padding', '+//+AA=='],
    ['standard without padding', '+//+AA'],
    ['URL with padding', '-__-AA=='],
    ['URL without padding', '-__-AA'],
  ])('reads bytes in base64, %s, in an object or plain', (_, text) => {
    expect(sendWith({ ciphertext: text })).toMatchObject({ ciphertext: bytes })
    expect(sendWith({ ciphertext: { $bytes: text } })).toMatchObject({ ciphertext: bytes })
  })

  test('gives base64 strings back as bytes', () => {
    const add = { convoId: 'aa', didList: [], welcomeMessage: '+//+AA' }
    expect(input('addMembers', add)).toMatchObject({ welcomeMessage: bytes })
    const publish = { keyPackage: { $bytes: '+//+AA' }, cipherSuite: SUITE }
    expect(input('publishKeyPackage', publish)).toMatchObject({ keyPackage: bytes })
    expect(bytesFields('blue.catbird.mls.addMembers')).toEqual(['commit', 'welcomeMessage'])
    expect(bytesFields('blue.catbird.mls.publishKeyPackage')).toEqual(['keyPackage'])
  })

  test('a snake_case key stands for its camelCase one when that is absent', () => {
    expect(input('addMembers', { convo_id: 'aa', did_list: ['did:plc:alice'] })).toEqual({
      convoId: 'aa',
      didList: ['did:plc:alice'],
    })
    expect(sendWith({ convo_id: 'bb' })).toMatchObject({ convoId: 'aa' })
    expect(sendWith({ convoId: null, convo_id: 'bb' })).toBe('InvalidRequest')
  })

  test('drops unknown keys, also below the top level', () => {
    const create = { groupId: 'aa', cipherSuite: SUITE, x: 1, metadata: { name: 'n', x: 1 } }
    expect(input('createConvo', create)).toEqual({
      groupId: 'aa',
      cipherSuite: SUITE,
      metadata: { name: 'n' },
    })
  })

  test('takes nothing from prototypes', () => {
    expect(input('sendMessage', { __proto__: send })).toBe('InvalidRequest')
    const parsed = input('sendMessage', JSON.parse(`{"__proto__":{"x":1},${JSON.stringify(send).slice(1)}`))
    expect(Object.getPrototypeOf(parsed)).toBe(Object.prototype)
    expect(input('leaveConvo', JSON.parse('{"__proto__":{"convoId":"aa"}}'))).toBe('InvalidRequest')
    const nested = JSON.parse('{"didList":[],"convoId":"aa","commit":{"__proto__":{"$bytes":"AAAA"}}}')
    expect(input('addMembers', nested)).toBe('InvalidRequest')
  })

  test.each([
    ['null', null],
    ['a list', []],
    ['text', 'x'],
    ['nothing', undefined],
    ['a missing field', { convoId: 'aa', epoch: 0 }],
    ['a negative epoch', { ...send, epoch: -1 }],
    ['a fractional epoch', { ...send, epoch: 1.5 }],
    ['an unsafe epoch', { ...send, epoch: 2 ** 53 }],
    ['null bytes', { ...send, ciphertext: null }],
    ['bytes that are a number', { ...send, ciphertext: { $bytes: 1 } }],
    ['bytes that are not base64', { ...send, ciphertext: '***' }],
    ['an empty idempotency key', { ...send, idempotencyKey: '' }],
    ['a long idempotency key', { ...send, idempotencyKey: 'k'.repeat(129) }],
    ['a long msgId', { ...send, msgId: 'm'.repeat(65) }],
    ['a long embedType in UTF-8', { ...send, embedType: 'é'.repeat(129) }],
    ['lists in lists', JSON.parse(`{"convoId":${'['.repeat(5000)}${']'.repeat(5000)}}`)],
    ['NUL in text', { ...send, embedType: 'a\0' }],
    ['a lone surrogate', { ...send, embedType: '\ud800' }],
    ['a malformed senderDid', { ...send, senderDid: 'alice' }],
  ])('refuses %s', (_, json) => {
    expect(input('sendMessage', json)).toBe('InvalidRequest')
  })

  test('a refusal says what is wrong', () => {
    const parse = (json: object) => () => parseInput('blue.catbird.mls.sendMessage', json)
    expect(parse({})).toThrow('InvalidRequest: must have the property "convoId"')
    expect(parse({ ...send, epoch: 'x' })).toThrow('InvalidRequest: epoch must be an integer')
  })

  test('checks DIDs by generic syntax', () => {
    expect(sendWith({ senderDid: 'did:plc:alice' })).toMatchObject({ senderDid: 'did:plc:alice' })
    expect(input('addMembers', { convoId: 'aa', didList: ['alice'] })).toBe('InvalidRequest')
    expect(input('addMembers', { convoId: 'aa', didList: dids(51) })).toBe('TooManyMembers')
  })
})

describe('a declared name wins over InvalidRequest', () => {
  test('too large, after decoding', () => {
    const base64 = (size: number) => Buffer.alloc(size, 1).toString('base64')
    expect(sendWith({ ciphertext: base64(10 * MIB) })).toMatchObject({ convoId: 'aa' })
    expect(sendWith({ ciphertext: base64(10 * MIB + 1) })).toBe('MessageTooLarge')
    expect(sendWith({ ciphertext: { $bytes: base64(11 * MIB) } })).toBe('MessageTooLarge')
    expect(input('leaveConvo', { convoId: 'aa', commit: base64(10 * MIB + 1) })).toBe('MessageTooLarge')
    const publish = (size: number) =>
      input('publishKeyPackage', { keyPackage: base64(size), cipherSuite: SUITE })
    expect(publish(64 * 1024)).toMatchObject({ cipherSuite: SUITE })
    expect(publish(64 * 1024 + 1)).toBe('MessageTooLarge')
  })

  test('empty bytes, and base64 strings that are none', () => {
    expect(sendWith({ ciphertext: '' })).toBe('InvalidMessage')
    expect(input('leaveConvo', { convoId: 'aa', commit: '' })).toBe('InvalidCommit')
    expect(input('addMembers', { convoId: 'aa', didList: [], welcomeMessage: '*' })).toBe('InvalidWelcome')
    expect(input('publishKeyPackage', { keyPackage: '*', cipherSuite: SUITE })).toBe('InvalidKeyPackage')
  })

  test('cipher suites', () => {
    const create = (cipherSuite: unknown) => input('createConvo', { groupId: 'aa', cipherSuite })
    expect(create('ROT13')).toBe('InvalidCipherSuite')
    expect(create('toString')).toBe('InvalidCipherSuite')
    expect(create(1)).toBe('InvalidRequest')
    expect(input('publishKeyPackage', { keyPackage: 'AAAA', cipherSuite: '' })).toBe('InvalidCipherSuite')
    expect(params('getKeyPackages', 'dids=did:plc:a&cipherSuite=x')).toBe('InvalidCipherSuite')
  })

  test('initial members and group ids', () => {
    const create = (change: object) => input('createConvo', { groupId: 'aa', cipherSuite: SUITE, ...change })
    expect(create({ initialMembers: dids(100) })).toMatchObject({ groupId: 'aa' })
    expect(create({ initialMembers: dids(101) })).toBe('TooManyMembers')
    expect(create({ initialMembers: ['alice'] })).toBe('InvalidRequest')
    for (const groupId of ['', 'AA', 'xy', 'aa\n', 'a'.repeat(129)]) {
      expect(create({ groupId })).toBe('InvalidRequest')
    }
    expect(create({ epoch: 2 })).toBe('InvalidRequest')
  })

  test.each([
    'http://a.b',
    'javascript:alert(1)',
    'https:a.b',
    'https://',
    'https://a b',
    '',
    'at:did:plc:a',
  ])('embedUri %j', (embedUri) => {
    expect(sendWith({ embedUri })).toBe('InvalidAsset')
  })

  test('embedUri is https or at', () => {
    for (const embedUri of ['https://a.b/c?d', 'HTTPS://a.b', 'at://did:plc:alice/app.x/1']) {
      expect(sendWith({ embedUri })).toMatchObject({ embedUri })
    }
    expect(sendWith({ embedUri: 1 })).toBe('InvalidRequest')
  })

  test('dids of a query', () => {
    const query = (list: string[]) => params('getKeyPackages', list.map((did) => `dids=${did}`).join('&'))
    expect(query(dids(100))).toMatchObject({ dids: dids(100) })
    expect(query(dids(101))).toBe('TooManyDids')
    expect(query(['did:plc:alice', 'bob'])).toBe('InvalidDid')
    expect(query([])).toBe('InvalidRequest')
  })

  test('epoch ranges and cursors', () => {
    expect(params('getCommits', 'convoId=aa&fromEpoch=-1')).toBe('InvalidEpochRange')
    expect(params('getCommits', 'convoId=aa&fromEpoch=0&toEpoch=99999999999999999999')).toBe(
      'InvalidEpochRange',
    )
    expect(params('getCommits', 'convoId=aa&fromEpoch=x')).toBe('InvalidRequest')
    expect(params('getConvos', 'cursor=%00')).toBe('InvalidCursor')
    expect(input('updateCursor', { convoId: 'aa', cursor: '\ud800' })).toBe('InvalidCursor')
  })
})

describe('parseParams', () => {
  test('converts, resolves aliases, fills in defaults and ignores what it does not know', () => {
    expect(params('getMessages', 'convo_id=aa&sinceSeq=7&markRead=false&x=1')).toEqual({
      convoId: 'aa',
      limit: 50,
      sinceSeq: 7,
      type: 'all',
      markRead: false,
    })
    expect(params('getCommits', 'convoId=aa&from_epoch=1')).toEqual({
      convoId: 'aa',
      fromEpoch: 1,
      limit: 500,
    })
    expect(params('getConvos', '')).toEqual({ limit: 50 })
    expect(params('getKeyPackages', 'dids=did:plc:a&dids=did:plc:b')).toEqual({
      dids: ['did:plc:a', 'did:plc:b'],
      cipherSuite: SUITE,
    })
  })

  test.each([
    '',
    'convoId=',
    `convoId=${'a'.repeat(129)}`,
    'convoId=aa&convoId=bb',
    'convoId=aa&limit=0',
    'convoId=aa&limit=101',
    'convoId=aa&limit=',
    'convoId=aa&limit=1e1',
    'convoId=aa&sinceSeq=-1',
    'convoId=aa&sinceSeq=99999999999999999999',
    'convoId=aa&type=none',
    'convoId=aa&markRead=yes',
    'convoId=a%00',
  ])('refuses %j', (query) => {
    expect(params('getMessages', query)).toBe('InvalidRequest')
  })
})
