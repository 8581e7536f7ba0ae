import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createConvo, messageFor } from '../support/convo.ts'
import { sendRaw } from '../support/http.ts'
import { ascending } from '../support/matchers.ts'
import { PrometheusProcess, SCRAPED } from '../support/prometheus/prometheus-process.ts'
import { publishDevice } from '../support/real-group.ts'
import { newDid, useServer } from '../support/use-server.ts'

const CONVO_LIMIT = 5
/** What this load can make; with all methods and errors it may be three times as many, however many people there are. */
const MOST_SERIES = 1500
/** A query or an outcome that is met for the first time is a histogram more; a label of strangers' making, one for each. */
const LATE_SERIES = 150

describe('a scrape', () => {
  const { server } = useServer({ ...SCRAPED, SHARD_COUNT: '2', METRICS_CONVO_LIMIT: String(CONVO_LIMIT) })
  let prometheus: PrometheusProcess
  beforeAll(async () => {
    prometheus = await PrometheusProcess.start({ servers: [server().url] })
  })
  afterAll(() => prometheus?.stop())

  const latest = async (name: string) => {
    await prometheus.looks(2)
    const { result } = await prometheus.query(`${name}{job="mls-server"}`)
    expect(result.length).toBe(1)
    return Number(result[0]!.value[1])
  }

  /** Everything by people, in conversations and with names that were never there before. */
  const strangers = async (count: number) => {
    await Promise.all(
      ascending(count).map(async (i) => {
        const alice = server().as(newDid('alice'))
        const convoId = await createConvo(alice, { epoch: 0, initialMembers: [newDid('bob')] })
        await alice.ok('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
        await alice.call('sendMessage', { convoId, epoch: 9, ciphertext: messageFor(convoId, 9) })
        await alice.ok('getMessages', { convoId })
        await alice.call('getEpoch', { convoId: `${convoId}${i}` })
        await alice.ok('getKeyPackages', { dids: [newDid('nobody')] })
        const path = `/xrpc/blue.catbird.mls.${convoId}`
        await sendRaw(server().url + path, { method: 'GET' })
        await sendRaw(`${server().url}/xrpc/${alice.did}?${convoId}`, { method: 'PUT' })
        await sendRaw(server().url + path, { method: 'GET', headers: { Authorization: `Bearer ${convoId}` } })
      }),
    )
  }

  it('does not grow with conversations, people or requests', async () => {
    await publishDevice(server().as(newDid('alice')))
    await strangers(20)
    const few = await latest('scrape_samples_scraped')
    expect(few).toBeGreaterThan(100)
    await strangers(2 * LATE_SERIES)
    const many = await latest('scrape_samples_scraped')
    expect(many).toBeLessThan(few + LATE_SERIES)
    expect(many).toBeLessThan(MOST_SERIES)
  })

  it('names no more conversations than METRICS_CONVO_LIMIT', async () => {
    await strangers(20)
    await prometheus.looks(2)
    const { result } = await prometheus.query('count(actor_mailbox_depth)')
    expect(Number(result[0]!.value[1])).toBeLessThanOrEqual(CONVO_LIMIT)
  })
})
