import { sha256Hex } from '@catbird/shared/bytes'
import { describe, expect, it } from 'vitest'
import { TestClient } from '../support/client.ts'
import { createConvo, newGroupId } from '../support/convo.ts'
import { expectError } from '../support/expect-error.ts'
import { TEST_SECRET } from '../support/identity.ts'
import { aTime } from '../support/matchers.ts'
import { MODES } from '../support/server.ts'
import { newDid, useServer } from '../support/use-server.ts'

const PATH = '/xrpc/blue.catbird.mls.subscribeConvoEvents'

describe('getSubscriptionTicket', () => {
  const { people, sql, server } = useServer({ ...MODES[2].env, PUBLIC_URL: 'https://mls.example.com:8443' })
  const rowOf = async (ticket: string) => {
    const [row] = await sql()`
      select did, convo_id, expires_at from tickets where hash = decode(${sha256Hex(ticket)}::text, 'hex')`
    return row
  }

  it('answers a ticket for all conversations, when it expires, and where to use it', async () => {
    const [alice] = people('alice')
    const answer = await alice.ok('getSubscriptionTicket')
    const { ticket, expiresAt } = answer
    const url = `wss://mls.example.com:8443${PATH}?ticket=${ticket}`
    expect(answer).toEqual({ ticket: expect.stringMatching(/^[\w-]{43}$/), expiresAt: aTime, url })
    expect(await rowOf(ticket)).toEqual({ did: alice.did, convo_id: null, expires_at: new Date(expiresAt) })
    const leftMs = Date.parse(expiresAt) - Date.now()
    expect(leftMs).toBeGreaterThan(10_000)
    expect(leftMs).toBeLessThan(40_000)
  })

  it('answers a ticket for one conversation to its members', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 0 })
    const { ticket, url } = await bob.ok('getSubscriptionTicket', { convoId })
    expect(url).toBe(`wss://mls.example.com:8443${PATH}?ticket=${ticket}&convoId=${convoId}`)
    expect(await rowOf(ticket)).toMatchObject({ did: bob.did, convo_id: convoId })
    expect((await bob.ok('getSubscriptionTicket', { convo_id: convoId })).url).toContain(convoId)
  })

  it('answers another ticket each time', async () => {
    const [alice] = people('alice')
    const answers = await Promise.all(Array.from({ length: 20 }, () => alice.ok('getSubscriptionTicket')))
    expect(new Set(answers.map(({ ticket }) => ticket)).size).toBe(20)
  })

  it('is for former members too, and not for who never was one', async () => {
    const [alice, bob, eve] = people('alice', 'bob', 'eve')
    const convoId = await createConvo(alice, { initialMembers: [bob.did], epoch: 0 })
    await bob.ok('leaveConvo', { convoId })
    await bob.ok('getSubscriptionTicket', { convoId })
    const before = await sql()`select from tickets`
    expectError(await eve.call('getSubscriptionTicket', { convoId }), 'ConvoNotFound')
    expectError(await alice.call('getSubscriptionTicket', { convoId: newGroupId() }), 'ConvoNotFound')
    expect(await sql()`select from tickets`).toHaveLength(before.length)
  })

  it('refuses what is no conversation id', async () => {
    const [alice] = people('alice')
    for (const convoId of ['', 'a'.repeat(129), 7, null, ['aa'], 'a\0b']) {
      expectError(await alice.call('getSubscriptionTicket', { convoId }), 'InvalidRequest')
    }
  })

  it('keeps and logs no ticket in clear', async () => {
    const [alice] = people('alice')
    const { ticket } = await alice.ok('getSubscriptionTicket')
    const rows = await sql()<{ text: string }[]>`select to_jsonb(t)::text as text from tickets t`
    const traces = [ticket, Buffer.from(ticket).toString('hex')]
    for (const text of [
      ...rows.map((row) => row.text),
      ...server().logs.map((line) => JSON.stringify(line)),
    ]) {
      for (const trace of traces) expect(text).not.toContain(trace)
    }
  })
})

describe('getSubscriptionTicket, where the server', () => {
  describe('is reached without TLS', () => {
    const { people } = useServer({ ...MODES[2].env, PUBLIC_URL: 'http://mls.example.com' })

    it('answers a URL without TLS', async () => {
      const [alice] = people('alice')
      const { url, ticket } = await alice.ok('getSubscriptionTicket')
      expect(url).toBe(`ws://mls.example.com${PATH}?ticket=${ticket}`)
    })
  })

  describe('does not know its address', () => {
    const audience = 'did:plc:mls'
    const { server } = useServer({ ...MODES[2].env, SERVICE_DID: audience })

    it('answers a path alone', async () => {
      const alice = new TestClient(server().url, newDid('alice'), { secret: TEST_SECRET, audience })
      const { url, ticket } = await alice.ok('getSubscriptionTicket')
      expect(url).toBe(`${PATH}?ticket=${ticket}`)
    })
  })
})
