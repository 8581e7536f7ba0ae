import { expect } from 'vitest'
import type { ErrorBody } from './client.ts'
import { type ContractError, contractStatus } from './error-table.ts'

type Refused = { status: number; headers: Headers; body: ErrorBody }
type Details = Record<string, unknown>

/**
 * Holds an answer to a refusal of this name: status, details as fields, and every detail in the message too,
 * since a proxying PDS passes on nothing else. Each declared error must go through here once: a contract test
 * looks for the calls.
 */
export function expectError(answer: Refused, name: ContractError, details: Details = {}): void {
  const { error, message, ...fields } = answer.body
  expect({ status: answer.status, error }, message).toEqual({ status: contractStatus(name), error: name })
  expect(fields).toMatchObject(details)
  expect(message).toMatch(/\S/)
  expectInMessage(message, fields)
  expect(answer.headers.get('content-type')).toContain('application/json')
  expect(answer.headers.get('cache-control')).toBe('no-store')
  if (answer.status === 401) expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer\b/)
  if (answer.status === 429 || answer.status === 503) {
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
  }
}

function expectInMessage(message: string, fields: Details): void {
  for (const [key, value] of Object.entries(fields)) {
    if (key === 'winningCommit') {
      const { seq, sha256 } = value as { seq: number; sha256: string }
      expect(message).toContain(`winnerSeq=${seq}`)
      expect(message).toContain(`winnerSha256=${sha256}`)
    } else if (typeof value === 'object') {
      for (const leaf of leaves(value)) expect(message).toContain(`=${leaf}`)
    } else expect(message).toContain(`${key}=${value}`)
  }
}

function leaves(value: unknown): unknown[] {
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(leaves) : [value]
}
