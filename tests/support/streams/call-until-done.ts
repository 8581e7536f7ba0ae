import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Answer, TestClient } from '../client.ts'

export type Clients = {
  /** Of the servers that are up. */
  readonly urls: readonly string[]
  /** @param url of the server to ask, as long as it is up; otherwise any is asked */
  as(did: string, url?: string): TestClient
}

type Change = 'createConvo' | 'addMembers' | 'leaveConvo' | 'sendMessage'

const PASSING = ['OutcomeUnknown', 'Overloaded', 'ShuttingDown', 'DatabaseUnavailable']
/** What fetch says when a connection cannot be made, or breaks. */
const BROKEN = ['fetch failed', 'terminated']
const RETRY_MS = 50
const DEADLINE_MS = 60_000

/**
 * Makes one change, again and again under one key when answers are lost, until it is done.
 *
 * @param url of the server to ask first
 */
export async function callUntilDone<N extends Change>(
  clients: Clients,
  did: string,
  name: N,
  input: Record<string, unknown>,
  url?: string,
): Promise<Answer<N>['body']> {
  const withKey = { ...input, idempotencyKey: randomUUID() }
  const deadlineMs = Date.now() + DEADLINE_MS
  while (Date.now() < deadlineMs) {
    const answer = await tryOnce(clients.as(did, url), name, withKey)
    if (answer?.status === 200) return answer.body
    if (answer && !PASSING.includes(answer.body.error)) {
      throw new Error(`${name} answered ${answer.status} ${JSON.stringify(answer.body)}`)
    }
    await sleep(RETRY_MS)
  }
  throw new Error(`${name} was not done in ${DEADLINE_MS} ms`)
}

async function tryOnce<N extends Change>(
  client: TestClient,
  name: N,
  input: Record<string, unknown>,
): Promise<Answer<N> | undefined> {
  try {
    return await client.call(name, input)
  } catch (error) {
    if (error instanceof TypeError && BROKEN.includes(error.message)) return undefined
    throw error
  }
}
