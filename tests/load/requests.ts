import { systemClock } from '@catbird/shared/clock'
import { stampOf } from './frame-writer.ts'
import { LimitHits } from './limit-hits.ts'
import type { Answer, LoadClient } from './load-client.ts'
import { type Operation, type Outcome, type Verdict, verdictOf, WRITES } from './operations.ts'
import type { Tally } from './tally.ts'
import type { LoadedConvo, World } from './world.ts'

export type RequestsOptions = {
  client: LoadClient
  world: World
  /** Where requests are counted when they are done. */
  tally: () => Tally
  /** Requests without a final answer are made again for so long after they were due, under the same key; 0: never. */
  retryForMs: number
  /** Told of every message, commit and creation. */
  observe?: (outcome: Outcome) => void
}

/** What is asked again differs by chance, so that callers who were cut off together do not come back together. */
const RETRY_MS = { first: 50, most: 2000 }
/** A closed loop whose server is away must not spin. */
const PAUSE_MS = 20
const PAGE = 20

/** Makes requests and counts what they come to; never rejects because of the server. */
export class Requests {
  readonly limitHits = new LimitHits()
  readonly #options: RequestsOptions

  constructor(options: RequestsOptions) {
    this.#options = options
  }

  /** @param dueMs what its latency is measured from, in the time of performance.now() */
  async make(operation: Operation, dueMs: number): Promise<void> {
    const { world } = this.#options
    if (operation === 'send' || operation === 'commit') {
      const convo = operation === 'commit' ? world.nextQuietConvo() : world.nextConvo()
      await this.#write(operation, convo, dueMs)
    } else if (operation === 'create') {
      await this.#create(dueMs)
    } else {
      await this.#read(operation, world.nextConvo(), dueMs)
    }
  }

  async #write(operation: 'send' | 'commit', convo: LoadedConvo, dueMs: number): Promise<void> {
    const { client, world, retryForMs } = this.#options
    const { authorization } = convo.nextMember()
    const { bytes, base64 } = world.frame(WRITES[operation], convo)
    const stamp = stampOf(bytes)
    const key = retryForMs > 0 ? `,"idempotencyKey":"${stamp}"` : ''
    const content =
      operation === 'send'
        ? `"epoch":${convo.epoch},"ciphertext":{"$bytes":"${base64}"}`
        : `"didList":[],"commit":{"$bytes":"${base64}"}`
    const body = `{"convoId":"${convo.convoId}",${content}${key}}`
    const method = operation === 'send' ? 'sendMessage' : 'addMembers'
    if (operation === 'commit') convo.commitsUnderWay++
    const result = await this.#ask(operation, dueMs, () => client.post(method, authorization, body))
    if (operation === 'commit') convo.commitsUnderWay--
    const { seq, newEpoch, serverEpoch } = result.body
    const epoch = newEpoch ?? serverEpoch
    if (typeof epoch === 'number') convo.reached(epoch)
    if (typeof seq === 'number') convo.stored(seq)
    this.#tell(operation, convo, stamp, result)
  }

  async #create(dueMs: number): Promise<void> {
    const { client, world } = this.#options
    const convo = world.newConvo()
    const { authorization } = convo.members[0]!
    const body = world.creationOf(convo)
    const result = await this.#ask('create', dueMs, () => client.post('createConvo', authorization, body))
    if (result.verdict === 'accepted') world.convos.push(convo)
    this.#tell('create', convo, undefined, result)
  }

  async #read(operation: Operation, convo: LoadedConvo, dueMs: number): Promise<void> {
    const { client } = this.#options
    const { authorization } = convo.nextMember()
    const queries: Partial<Record<Operation, string>> = {
      getMessages: `convoId=${convo.convoId}&limit=${PAGE}&sinceSeq=${Math.max(0, convo.seq - PAGE)}`,
      getEpoch: `convoId=${convo.convoId}`,
    }
    await this.#ask(operation, dueMs, () => client.get(operation, authorization, queries[operation]))
  }

  /** Asks, again where that is wanted, and counts. A definite answer after one that was lost holds for both. */
  async #ask(operation: Operation, dueMs: number, ask: () => Promise<Answer>): Promise<Result> {
    const { tally, retryForMs } = this.#options
    let isLost = false
    for (let pauseMs = RETRY_MS.first; ; pauseMs = Math.min(2 * pauseMs, RETRY_MS.most)) {
      const result = toResult(await ask())
      const doneMs = performance.now()
      const isFinal = result.verdict === 'accepted' || (result.verdict === 'refused' && !isPassing(result))
      if (isFinal || doneMs - dueMs + pauseMs > retryForMs) {
        if (result.name === 'RateLimitExceeded') this.limitHits.add(result.body)
        tally().done({ operation, name: result.name, dueMs, doneMs })
        if (!isFinal && retryForMs === 0) await systemClock.sleep(PAUSE_MS)
        return isLost && !isFinal ? { ...result, verdict: 'unknown' } : result
      }
      isLost ||= result.verdict === 'unknown'
      tally().repeat(result.name)
      await systemClock.sleep(pauseMs * (0.5 + Math.random()))
    }
  }

  #tell(operation: Operation, convo: LoadedConvo, stamp: string | undefined, result: Result): void {
    const { verdict, name, body } = result
    const seq = typeof body.seq === 'number' ? body.seq : undefined
    const { convoId, members } = convo
    this.#options.observe?.({ operation, verdict, name, convoId, members: members.length, stamp, seq })
  }
}

type Result = { status: number | undefined; verdict: Verdict; name: string; body: Record<string, unknown> }

/** Says that the same request may be let in later. */
function isPassing({ status }: Result): boolean {
  return status === 503
}

function toResult(answer: Answer): Result {
  if (answer.status === undefined) {
    return { status: undefined, verdict: verdictOf(undefined, answer.name), name: answer.name, body: {} }
  }
  const { status, body } = answer
  const name = status === 200 ? 'ok' : String(body.error)
  return { status, verdict: verdictOf(status, name), name, body }
}
