import { readdirSync } from 'node:fs'
import { parseLexiconDoc } from '@atproto/lexicon'
import { expect, expectTypeOf, test } from 'vitest'
import { ERROR_STATUS } from '../errors.ts'
import { bytesFields, FRAME_ERRORS, isProcedure, TRANSPORT_ERRORS } from '../lexicon.ts'
import { CIPHER_SUITES, DEFAULT_CIPHER_SUITE } from '../mls/cipher-suites.ts'
import { BYTE_FIELDS } from './byte-fields.ts'
import {
  DEFS_ID,
  declaredErrors,
  isNsid,
  LEXICON_DIRECTORY,
  methodDef,
  NSIDS,
  readDocument,
} from './documents.ts'
import { requestFields } from './request-plan.ts'
import type { Nsid } from './types.ts'

test('the list of methods is the directory', () => {
  expectTypeOf<(typeof NSIDS)[number]>().toEqualTypeOf<Nsid>()
  const ids = readdirSync(LEXICON_DIRECTORY).map((file) => `blue.catbird.mls.${file.replace(/\.json$/, '')}`)
  expect(ids.toSorted()).toEqual([DEFS_ID, ...NSIDS].toSorted())
})

test.each([DEFS_ID, ...NSIDS])('%s is a valid lexicon under its own id', (id) => {
  expect(parseLexiconDoc(readDocument(id)).id).toBe(id)
})

test.each(NSIDS)('%s declares only known errors, each once and explained', (nsid) => {
  const names = declaredErrors(nsid)
  const known: readonly string[] = [...Object.keys(ERROR_STATUS), ...FRAME_ERRORS]
  expect(names.filter((name) => !known.includes(name))).toEqual([])
  expect(new Set(names).size).toBe(names.length)
  expect(methodDef(nsid).errors?.every((error) => error.description)).toBe(true)
})

test('every error name is declared by some method or belongs to the transport', () => {
  const used = new Set<string>([...TRANSPORT_ERRORS, ...NSIDS.flatMap(declaredErrors)])
  expect([...used].toSorted()).toEqual([...Object.keys(ERROR_STATUS), ...FRAME_ERRORS].toSorted())
})

test.each(NSIDS)('%s names the known cipher suites and limits bytes as its checks do', (nsid) => {
  const def = methodDef(nsid)
  const schema = def.type === 'procedure' ? def.input?.schema : def.parameters
  const properties = schema && 'properties' in schema ? schema.properties : {}
  for (const [name, property] of Object.entries(properties)) {
    if (name === 'cipherSuite') expect(property).toHaveProperty('knownValues', Object.keys(CIPHER_SUITES))
    const field = BYTE_FIELDS[name]
    if (!field) continue
    // What is kept nowhere is passed on in smaller pieces.
    const maxBytes = nsid === 'blue.catbird.mls.sendEphemeral' ? 4096 : field.maxBytes
    const maxLength = field.isText ? Math.ceil(maxBytes / 3) * 4 : maxBytes
    expect(property).toMatchObject({ type: field.isText ? 'string' : 'bytes', maxLength })
  }
})

test('key packages are looked up in suite 1 by default', () => {
  const def = methodDef('blue.catbird.mls.getKeyPackages')
  const parameters = def.type === 'query' ? def.parameters : undefined
  expect(parameters?.properties.cipherSuite).toHaveProperty('default', DEFAULT_CIPHER_SUITE)
})

test('each method with a declared InvalidCipherSuite takes a cipher suite, and the reverse', () => {
  for (const nsid of NSIDS) {
    const takesSuite = requestFields(nsid).some((field) => field.name === 'cipherSuite')
    expect(declaredErrors(nsid).includes('InvalidCipherSuite')).toBe(takesSuite)
  }
})

test('each refusal of a byte field is declared by the methods that have it', () => {
  for (const nsid of NSIDS) {
    for (const name of bytesFields(nsid)) {
      expect(declaredErrors(nsid)).toContain(BYTE_FIELDS[name]?.malformed)
      expect(declaredErrors(nsid)).toContain('MessageTooLarge')
    }
  }
})

test('both streams have the same events, each defined where its short name is looked up', () => {
  const eventsOf = (id: string) => Object.entries(readDocument(id).defs).filter(([name]) => name !== 'main')
  const events = eventsOf('blue.catbird.mls.streamConvoEvents')
  expect(events.length).toBe(7)
  expect(eventsOf('blue.catbird.mls.subscribeConvoEvents')).toEqual(events)
})

test('kinds and names of methods', () => {
  expect(isProcedure('blue.catbird.mls.getConvos')).toBe(false)
  expect(isProcedure('blue.catbird.mls.sendMessage')).toBe(true)
  expect(isNsid('blue.catbird.mls.sendMessage')).toBe(true)
  expect(isNsid('constructor')).toBe(false)
})
