import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { RefusalError } from '@catbird/shared/errors'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { readJsonBody } from './body.ts'
import { InflightBudget } from './inflight-budget.ts'

const MIB = 2 ** 20
const MAX_BYTES = MIB

describe('a JSON body', () => {
  let server: Server
  let budget: InflightBudget
  /** How the bodies ended, in this order: what was read, or the refusal's name. */
  let outcomes: unknown[]
  /** Passes before a body is read, like authentication. */
  let delay: (incoming: IncomingMessage) => Promise<unknown>
  let timeoutMs: number

  beforeAll(async () => {
    server = createServer(async (incoming, outgoing) => {
      const admission = budget.admit(0)!
      try {
        await delay(incoming)
        const bounds = {
          maxBytes: MAX_BYTES,
          deadlineMs: Date.now() + timeoutMs,
          admission,
          takeBytes: async () => {},
        }
        outcomes.push(await readJsonBody(incoming, bounds))
      } catch (thrown) {
        outcomes.push(thrown instanceof RefusalError ? thrown.refusal.error : thrown)
      } finally {
        admission.release()
      }
      outgoing.end()
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
  })
  afterAll(() => {
    server.closeAllConnections()
    server.close()
  })
  beforeEach(() => {
    budget = new InflightBudget(4 * MIB)
    outcomes = []
    delay = async () => {}
    timeoutMs = 10_000
  })

  const open = (headers: Record<string, string | number> = {}) => {
    const { port } = server.address() as AddressInfo
    const type = { 'Content-Type': 'application/json' }
    const outgoing = request({ port, method: 'POST', headers: { ...type, ...headers }, agent: false })
    outgoing.on('error', () => {})
    outgoing.flushHeaders()
    return outgoing
  }
  const until = async (holds: () => boolean) => {
    while (!holds()) await new Promise((resolve) => setTimeout(resolve, 2))
  }
  const ended = (count = 1) => until(() => outcomes.length === count)

  it('is read whole, in whatever pieces it comes', async () => {
    const value = { text: 'é😀'.repeat(20_000) }
    const bytes = Buffer.from(JSON.stringify(value))
    for (const size of [bytes.length, 65_537, 1001]) {
      for (const framing of ['length', 'chunks']) {
        const outgoing = open(framing === 'length' ? { 'Content-Length': bytes.length } : {})
        for (let at = 0; at < bytes.length; at += size) outgoing.write(bytes.subarray(at, at + size))
        outgoing.end()
      }
    }
    await ended(6)
    expect(outcomes).toEqual(Array.from({ length: 6 }, () => value))
    expect(budget.used).toBe(0)
  })

  it('is paid for while it comes and no earlier, and nothing is held once it is cut', async () => {
    const outgoing = open({ 'Content-Length': MIB })
    await until(() => budget.used > 0)
    expect(budget.used).toBeLessThan(64 * 1024)
    outgoing.write(Buffer.alloc(MIB / 2))
    await until(() => budget.used >= (3 * MIB) / 2)
    outgoing.destroy()
    await ended()
    expect(outcomes).toEqual(['InvalidRequest'])
    expect(budget.used).toBe(0)
  })

  it('is noticed to be cut when that happens before anybody reads', async () => {
    delay = (incoming) => new Promise((resolve) => incoming.once('close', resolve))
    const outgoing = open({ 'Content-Length': MIB })
    outgoing.write(' ')
    await until(() => budget.used > 0)
    outgoing.destroy()
    await ended()
    expect(outcomes).toEqual(['InvalidRequest'])
    expect(budget.used).toBe(0)
  })

  it('gives back what it held when it is too slow, too long or too much', async () => {
    const other = budget.admit(0)!
    const { used } = budget
    timeoutMs = 50
    const slow = open({ 'Content-Length': MIB })
    slow.write(Buffer.alloc(MIB / 4))
    await ended()
    timeoutMs = 10_000
    const long = open()
    long.write(Buffer.alloc(MAX_BYTES + 1))
    await ended(2)
    other.charge(MIB)
    const much = open()
    much.write(Buffer.alloc(MIB / 2))
    await ended(3)
    expect(outcomes).toEqual(['InvalidRequest', 'PayloadTooLarge', 'Overloaded'])
    expect(budget.used).toBe(used + 3 * MIB)
    for (const outgoing of [slow, long, much]) outgoing.destroy()
  })

  it('of a hostile shape is not parsed', async () => {
    open().end('['.repeat(100_000))
    await ended()
    expect(outcomes).toEqual(['InvalidRequest'])
  })
})
