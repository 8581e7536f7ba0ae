import { ciphersuites } from 'ts-mls'
import { expect, it } from 'vitest'
import { CIPHER_SUITES, cipherSuiteId, cipherSuiteName, DEFAULT_CIPHER_SUITE } from './cipher-suites.ts'

it('has the identifiers that ts-mls has', () => {
  expect(ciphersuites).toMatchObject(CIPHER_SUITES)
  expect(Object.values(CIPHER_SUITES)).toEqual([1, 2, 3, 4, 5, 6])
})

it('maps both ways and knows nothing else', () => {
  for (const [name, id] of Object.entries(CIPHER_SUITES)) {
    expect(cipherSuiteId(name)).toBe(id)
    expect(cipherSuiteName(id)).toBe(name)
  }
  expect(cipherSuiteName(7)).toBeUndefined()
  expect(cipherSuiteId('toString')).toBeUndefined()
  expect(cipherSuiteId('MLS_256_DHKEMP384_AES256GCM_SHA384_P384')).toBeUndefined()
  expect(cipherSuiteId(DEFAULT_CIPHER_SUITE)).toBe(1)
})
