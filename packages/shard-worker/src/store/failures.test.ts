import { expect, it } from 'vitest'
import { refusedByStore, toStoreError } from './failures.ts'
import { StoreError } from './store.ts'

const failureOf = (code?: string) => toStoreError(Object.assign(new Error('any'), { code })).failure

it.each([
  ['a deadlock', '40P01'],
  ['a serialisation failure', '40001'],
  ['a statement that took too long', '57014'],
  ['a lock that took too long', '55P03'],
  ['a concurrent duplicate', '23505'],
  ['a missing table', '42P01'],
])('%s means that the transaction was rolled back', (_, code) => {
  expect(failureOf(code)).toBe('rolledBack')
})

it.each([
  ['a NUL byte in a text', '22021'],
  ['a violated check', '23514'],
  ['a row over the limits', '54000'],
])('%s blames the data', (_, code) => {
  expect(failureOf(code)).toBe('data')
})

it.each([
  ['a refused connection', 'ECONNREFUSED'],
  ['a connection that took too long', 'CONNECT_TIMEOUT'],
  ['a server that is starting', '57P03'],
  ['a server without a free connection', '53300'],
])('%s means that nothing was sent', (_, code) => {
  expect(failureOf(code)).toBe('unavailable')
})

it.each([
  ['a connection that broke', 'CONNECTION_CLOSED'],
  ['a connection that was reset', 'ECONNRESET'],
  ['a session that was ended', '57P01'],
  ['a server that crashed', '57P02'],
  ['a connection exception', '08006'],
  ['an error without a code', undefined],
])('%s leaves the outcome unknown', (_, code) => {
  expect(failureOf(code)).toBe('unknown')
})

it('keeps what is sorted already', () => {
  const error = new StoreError('data', 'cause')
  expect(toStoreError(error)).toBe(error)
  expect(toStoreError('not an error').failure).toBe('unknown')
})

it('tells a caller each failure by a name of its own', () => {
  const names = (['unavailable', 'unknown', 'rolledBack', 'data'] as const).map((failure) => {
    const reply = refusedByStore(failure)
    return reply.ok ? 'ok' : reply.refusal.error
  })
  expect(names).toEqual(['DatabaseUnavailable', 'OutcomeUnknown', 'Overloaded', 'InternalServerError'])
})
