import { signDevToken } from '@catbird/api/auth/dev-token'
import { build } from 'hdr-histogram-js'
import { Client } from 'undici'
import { TEST_AUDIENCE, TEST_SECRET } from '../support/identity.ts'
import type { TestEnv } from '../support/server.ts'
import { ServerProcess } from '../support/server-process.ts'
import { type Kind, runWorkers, Workload } from './workload.ts'

const SUITE = 'MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519'
const memberDids = Array.from({ length: 19 }, (_, i) => `did:plc:member23456member2345${i + 10}`)

export type Latency = { perSecond: number; p50: number; p95: number; p99: number; max: number }

/** A server process, its load generator in this one, and conversations of 20 members. */
export class HttpBench {
  readonly #server: ServerProcess
  readonly #headers: Record<string, string>
  readonly #load: Workload
  readonly #clients: Client[]

  private constructor(server: ServerProcess, token: string, load: Workload, connections: number) {
    this.#server = server
    this.#load = load
    this.#headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    this.#clients = Array.from({ length: connections }, () => new Client(server.url))
  }

  static async open(
    databaseUrl: string,
    env: TestEnv,
    conversations: number,
    connections: number,
  ): Promise<HttpBench> {
    const server = await ServerProcess.start(databaseUrl, env)
    const claims = { did: 'did:plc:alice23456alice23456alic', audience: TEST_AUDIENCE, ttlSeconds: 3600 }
    const token = await signDevToken(TEST_SECRET, claims)
    const bench = new HttpBench(server, token, new Workload(conversations), connections)
    let next = 0
    const create = async (client: number): Promise<void> => {
      while (next < conversations) {
        const groupId = bench.#load.convoIds[next++]!
        const body = { groupId, cipherSuite: SUITE, initialMembers: memberDids, epoch: 0 }
        await bench.#post(client, 'createConvo', JSON.stringify(body))
      }
    }
    await Promise.all(Array.from({ length: connections }, (_, client) => create(client)))
    return bench
  }

  /** Most requests per second: every connection sends its next request when the last is answered. */
  async throughput(kind: Kind, seconds: number): Promise<number> {
    const { convoIds } = this.#load
    return runWorkers(this.#clients.length, convoIds.length, seconds, async (worker, index) => {
      await this.#request(kind, worker, index)
    })
  }

  /** Latency at a given rate, from the moment a request was due: a server that falls behind is not let off. */
  async latency(kind: Kind, perSecond: number, seconds: number): Promise<Latency> {
    const histogram = build()
    const total = perSecond * seconds
    const startedMs = performance.now() + 50
    const inFlight: Promise<void>[] = []
    for (let i = 0; i < total; i++) {
      const dueMs = startedMs + (i * 1000) / perSecond
      const waitMs = dueMs - performance.now()
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
      const index = i % this.#load.convoIds.length
      const request = this.#request(kind, i % this.#clients.length, index)
      inFlight.push(
        request.then(() =>
          histogram.recordValue(Math.max(0, Math.round((performance.now() - dueMs) * 1000))),
        ),
      )
    }
    await Promise.all(inFlight)
    const at = (percentile: number) => histogram.getValueAtPercentile(percentile) / 1000
    return { perSecond, p50: at(50), p95: at(95), p99: at(99), max: histogram.maxValue / 1000 }
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()))
    await this.#server.end()
  }

  async #request(kind: Kind, client: number, index: number): Promise<void> {
    const convoId = this.#load.convoIds[index]!
    const epoch = this.#load.epoch(index)
    const base64 = Buffer.from(this.#load.frame(kind, index).buffer).toString('base64')
    if (kind === 'message') {
      const body = `{"convoId":"${convoId}","epoch":${epoch},"ciphertext":{"$bytes":"${base64}"}}`
      return this.#post(client, 'sendMessage', body)
    }
    const body = `{"convoId":"${convoId}","didList":[],"commit":{"$bytes":"${base64}"}}`
    await this.#post(client, 'addMembers', body)
    this.#load.advance(index)
  }

  async #post(client: number, method: string, body: string): Promise<void> {
    const path = `/xrpc/blue.catbird.mls.${method}`
    const answer = await this.#clients[client]!.request({
      path,
      method: 'POST',
      headers: this.#headers,
      body,
    })
    const text = await answer.body.text()
    if (answer.statusCode !== 200) throw new Error(`${method} answered ${answer.statusCode} ${text}`)
  }
}
