import { setTimeout as sleep } from 'node:timers/promises'
import type { TestClient } from './client.ts'

/** What an MLS client needs of its connection: a TestClient, or something that disturbs one. */
export type Caller = Pick<TestClient, 'did' | 'call' | 'ok'>

const MAX_CALLS = 5
const RETRY_MS = 50

/** A call whose reply is lost is made again as it was: its idempotency key lets the server carry it out once. */
export async function callUntilAnswered<N extends 'addMembers' | 'leaveConvo' | 'sendMessage'>(
  caller: Caller,
  name: N,
  input: Record<string, unknown>,
) {
  for (let calls = 1; ; calls++) {
    const answer = await caller.call(name, input).catch((error: unknown) => {
      if (calls === MAX_CALLS) throw error
    })
    if (answer && (answer.status !== 503 || calls === MAX_CALLS)) return answer
    await sleep(RETRY_MS)
  }
}
