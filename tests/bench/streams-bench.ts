import type { Form } from '@catbird/api/events/frame'
import { systemClock } from '@catbird/shared/clock'
import { build } from 'hdr-histogram-js'
import { eventually } from '../support/eventually.ts'
import type { TestEnv } from '../support/server.ts'
import { ServerProcess } from '../support/server-process.ts'
import { type Acknowledged, CountingReader, Sender } from './stream-clients.ts'
import { Workload } from './workload.ts'

const SUITE = 'MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519'
/** DIDs that one request may name. */
const MAX_INITIAL = 100
const MAX_ADDED = 50
/** Readers that connect, and conversations that are created, at once. */
const AT_ONCE = 32
const SENDERS = 16
const WARM_UP_MS = 1000
const ARRIVAL_MS = 5000

/** A server process with conversations, whose streams this process reads. */
export class StreamsBench {
  readonly server: ServerProcess
  readonly readers: CountingReader[] = []
  readonly #load: Workload
  readonly #senders: Sender[]
  /** By conversation. */
  readonly #messages: { token: string; body: string }[] = []
  #sent = 0

  private constructor(server: ServerProcess, conversations: number) {
    this.server = server
    this.#load = new Workload(conversations)
    this.#senders = Array.from({ length: SENDERS }, () => new Sender(server.url))
  }

  /** Runs something with a server and a conversation for each list of members, of whom the first is the sender. */
  static async use<T>(
    databaseUrl: string,
    members: readonly string[][],
    run: (bench: StreamsBench) => Promise<T>,
    env: TestEnv = {},
  ): Promise<T> {
    const server = await ServerProcess.start(databaseUrl, { SHARD_COUNT: '1', ...env })
    const bench = new StreamsBench(server, members.length)
    try {
      await forEach(members, (dids, convo) => bench.#create(convo, dids))
      return await run(bench)
    } finally {
      for (const client of [...bench.readers, ...bench.#senders]) client.close()
      await server.end()
    }
  }

  async open(did: string, form: Form, onMessages?: (count: number) => void): Promise<void> {
    const token = await this.server.as(did).token()
    this.readers.push(await CountingReader.open({ url: this.server.url, token, form, onMessages }))
  }

  send(convo: number): Promise<Acknowledged> {
    const { token, body } = this.#messages[convo]!
    return this.#senders[this.#sent++ % SENDERS]!.send(token, body)
  }

  checkReaders(): void {
    const lost = this.readers.filter(({ isLost }) => isLost).length
    if (lost > 0) throw new Error(`the server has ended ${lost} of ${this.readers.length} streams`)
  }

  async #create(convo: number, [creator = '', ...others]: readonly string[]): Promise<void> {
    const client = this.server.as(creator)
    const convoId = this.#load.convoIds[convo]!
    const initialMembers = others.slice(0, MAX_INITIAL)
    await client.ok('createConvo', { groupId: convoId, cipherSuite: SUITE, initialMembers, epoch: 0 })
    for (let i = MAX_INITIAL; i < others.length; i += MAX_ADDED) {
      const didList = others.slice(i, i + MAX_ADDED)
      await client.ok('addMembers', { convoId, didList, commit: this.#bytes('commit', convo) })
      this.#load.advance(convo)
    }
    const ciphertext = this.#bytes('message', convo)
    const body = JSON.stringify({ convoId, epoch: this.#load.epoch(convo), ciphertext })
    this.#messages[convo] = { token: await client.token(), body }
  }

  #bytes(kind: 'commit' | 'message', convo: number): { $bytes: string } {
    return { $bytes: Buffer.from(this.#load.frame(kind, convo).buffer).toString('base64') }
  }
}

export type DeliveryLatency = {
  expected: number
  /** Of the expected, those that never came. */
  missing: number
  p50: number
  p95: number
  p99: number
  max: number
}

/**
 * From the acknowledgement at the sender to the event at a reader; one that came before it counts as 0. The messages are
 * sent at a given rate, whatever became of those before. They are told apart by their order: the nth that a reader gets
 * of its only conversation is the nth that was sent there.
 */
export function measureDeliveryLatency(
  url: string,
  {
    streams,
    membersEach,
    perSecond,
    seconds,
  }: Record<'streams' | 'membersEach' | 'perSecond' | 'seconds', number>,
): Promise<DeliveryLatency> {
  const members = inGroups(dids(streams), membersEach)
  return StreamsBench.use(url, members, async (bench) => {
    const arrivedMs: number[][] = Array.from({ length: streams }, () => [])
    await forEach(members.flat(), (did, i) => {
      const note = (count: number) => {
        const nowMs = performance.now()
        for (let k = 0; k < count; k++) arrivedMs[i]!.push(nowMs)
      }
      return bench.open(did, 'sse', note)
    })
    const acknowledged = await sendAtRate(bench, members.length, perSecond, seconds)
    const all = acknowledged.length * membersEach
    // What has not come by then is shown as missing.
    await eventually('all deliveries', () => countMessages(bench) === all, ARRIVAL_MS).catch(() => {})
    bench.checkReaders()
    return summarize(acknowledged, perSecond, (convo) =>
      arrivedMs.slice(convo * membersEach, (convo + 1) * membersEach),
    )
  })
}

type Sent = { convo: number; seq: number; atMs: number }

/** With one second more before, for the code to become warm. */
async function sendAtRate(
  bench: StreamsBench,
  convos: number,
  perSecond: number,
  seconds: number,
): Promise<Sent[]> {
  const total = Math.round(perSecond * (seconds + WARM_UP_MS / 1000))
  const startMs = performance.now() + 50
  const sent: Promise<Sent>[] = []
  for (let i = 0; i < total; i++) {
    const waitMs = startMs + (i * 1000) / perSecond - performance.now()
    if (waitMs > 0) await systemClock.sleep(waitMs)
    const convo = i % convos
    sent.push(bench.send(convo).then((acknowledged) => ({ convo, ...acknowledged })))
  }
  return Promise.all(sent)
}

function summarize(
  sent: readonly Sent[],
  perSecond: number,
  arrivalsOf: (convo: number) => number[][],
): DeliveryLatency {
  const histogram = build()
  const measured = sent.slice((perSecond * WARM_UP_MS) / 1000)
  let expected = 0
  for (const { convo, seq, atMs } of measured) {
    for (const arrivedMs of arrivalsOf(convo)) {
      expected++
      const delayMs = arrivedMs[seq - 1]! - atMs
      if (!Number.isNaN(delayMs)) histogram.recordValue(Math.max(0, Math.round(delayMs * 1000)))
    }
  }
  const at = (percentile: number) => histogram.getValueAtPercentile(percentile) / 1000
  const max = histogram.maxValue / 1000
  return { expected, missing: expected - histogram.totalCount, p50: at(50), p95: at(95), p99: at(99), max }
}

export type DeliveriesOptions = {
  form: Form
  readers: number
  /** How many messages the slowest reader may lack when the next one is sent. */
  behind: number
  seconds: number
}

/** Events per second that the readers of one conversation get together, while none of them falls behind. */
export function measureDeliveries(url: string, options: DeliveriesOptions): Promise<number> {
  const { form, readers, behind, seconds } = options
  const members = dids(readers)
  return StreamsBench.use(url, [members], async (bench) => {
    await forEach(members, (did) => bench.open(did, form))
    const stop = new AbortController()
    const sending = sendAsTheyRead(bench, behind, stop.signal)
    await Promise.race([systemClock.sleep(WARM_UP_MS), sending])
    const before = countMessages(bench)
    const startedMs = performance.now()
    await Promise.race([systemClock.sleep(seconds * 1000), sending])
    const perSecond = ((countMessages(bench) - before) * 1000) / (performance.now() - startedMs)
    stop.abort()
    const sent = await sending
    bench.checkReaders()
    await eventually('all deliveries', () => countMessages(bench) === sent * readers, ARRIVAL_MS)
    return perSecond
  })
}

/** Keeps so many messages on their way until told to stop; answers how many it has sent. */
async function sendAsTheyRead(bench: StreamsBench, behind: number, stop: AbortSignal): Promise<number> {
  let failure: unknown
  let sent = 0
  while (!stop.aborted && failure === undefined) {
    const slowest = bench.readers.reduce((least, { messages }) => Math.min(least, messages), sent)
    if (sent - slowest >= behind) {
      await systemClock.sleep(1)
      continue
    }
    sent++
    bench.send(0).catch((error: unknown) => {
      failure = error
    })
  }
  if (failure !== undefined) throw failure
  return sent
}

function countMessages(bench: StreamsBench): number {
  return bench.readers.reduce((sum, { messages }) => sum + messages, 0)
}

export function dids(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `did:plc:reader23456reader234${i}`)
}

export function inGroups<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) =>
    items.slice(i * size, (i + 1) * size),
  )
}

/** Some at once, in order. */
export async function forEach<T>(
  items: readonly T[],
  run: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0
  const work = async () => {
    for (let index = next++; index < items.length; index = next++) await run(items[index]!, index)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
}
