import { describe, expect, it } from 'vitest'
import { commitFor, createConvo, messageFor, newGroupId } from '../support/convo.ts'
import { sendRaw } from '../support/http.ts'
import { publishDevice } from '../support/real-group.ts'
import { Scrape } from '../support/scrape.ts'
import { MODES } from '../support/server.ts'
import { useServer } from '../support/use-server.ts'

const NSID = 'blue.catbird.mls.'

describe.each(MODES)('metrics of requests and commands, $name', ({ env }) => {
  const { people, server } = useServer(env)
  const scrape = () => Scrape.of(server().url)
  const executor = env.ENABLE_ACTOR_SYSTEM === 'false' ? 'direct' : 'actor'
  /** By how much each sample rose. */
  const changeBy = async (action: () => Promise<unknown>) => {
    const before = await scrape()
    await action()
    const after = await scrape()
    return (name: string, labels: Record<string, string> = {}) =>
      after.value(name, labels) - before.value(name, labels)
  }

  it('count requests and errors by method, and time them', async () => {
    const [alice, eve] = people('alice', 'eve')
    const convoId = await createConvo(alice)
    const rise = await changeBy(async () => {
      await alice.ok('getEpoch', { convoId })
      await eve.call('getEpoch', { convoId })
      await sendRaw(`${server().url}/xrpc/${NSID}getEpoch`, { method: 'GET' })
      await sendRaw(`${server().url}/xrpc/${NSID}${eve.did}`, { method: 'GET' })
    })
    const method = `${NSID}getEpoch`
    expect(rise('http_requests_total', { method })).toBe(3)
    for (const status of ['200', '404', '401']) {
      expect(rise('http_requests_total', { method, status })).toBe(1)
    }
    for (const error of ['ConvoNotFound', 'AuthenticationRequired']) {
      expect(rise('http_errors_total', { method, error })).toBe(1)
    }
    expect(rise('http_errors_total', { error: 'MethodNotImplemented' })).toBe(1)
    expect(rise('http_request_duration_seconds_count', { method })).toBe(3)
    expect(rise('http_request_duration_seconds_sum', { method })).toBeGreaterThan(0)
  })

  it('count failed authentications by their reason', async () => {
    const url = `${server().url}/xrpc/${NSID}getConvos`
    const rise = await changeBy(async () => {
      await sendRaw(url, { method: 'GET' })
      await sendRaw(url, { method: 'GET', headers: { Authorization: 'Bearer x' } })
    })
    for (const reason of ['missing', 'malformed']) expect(rise('auth_failures_total', { reason })).toBe(1)
    expect(rise('auth_failures_total')).toBe(2)
  })

  it('count key packages that were asked for, by whether there was one', async () => {
    const [alice, bob, carol] = people('alice', 'bob', 'carol')
    await publishDevice(bob)
    const rise = await changeBy(() => alice.ok('getKeyPackages', { dids: [bob.did, carol.did, alice.did] }))
    expect(rise('key_package_claims_total', { outcome: 'claimed' })).toBe(1)
    expect(rise('key_package_claims_total', { outcome: 'missing' })).toBe(2)
  })

  it('time commands by their outcome', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    const rise = await changeBy(async () => {
      await alice.ok('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
      await alice.call('leaveConvo', { convoId })
      await alice.ok('addMembers', { convoId, didList: [], commit: commitFor(convoId, 0) })
      await createConvo(alice)
    })
    const commands = (command: string, outcome: string) =>
      rise('conversation_command_duration_seconds_count', { executor, command, outcome })
    expect(commands('sendMessage', 'accepted')).toBe(1)
    expect(commands('leaveConvo', 'LastMember')).toBe(1)
    expect(commands('addMembers', 'accepted')).toBe(1)
    expect(commands('createConvo', 'accepted')).toBe(1)
    expect(rise('conversation_command_duration_seconds_sum', { executor })).toBeGreaterThan(0)
  })

  it('time epoch advances and count conflicts by their reason', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0 })
    const rise = await changeBy(async () => {
      for (const epoch of [0, 0, 1, 5]) {
        await alice.call('addMembers', { convoId, didList: [], commit: commitFor(convoId, epoch) })
      }
      await alice.call('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
    })
    expect(rise('epoch_increment_duration_seconds_count', { executor })).toBe(2)
    expect(rise('epoch_increment_duration_seconds_sum', { executor })).toBeGreaterThan(0)
    expect(rise('epoch_conflicts_total', { executor })).toBe(3)
    for (const reason of ['commit_stale', 'commit_ahead', 'message_epoch']) {
      expect(rise('epoch_conflicts_total', { executor, reason })).toBe(1)
    }
  })

  it('tell the state of the process', async () => {
    const { value } = await scrape().then((one) => ({ value: one.value.bind(one) }))
    expect(value('server_ready')).toBe(1)
    expect(value('actor_rollout_percent')).toBe(executor === 'actor' ? 100 : 0)
    expect(value('process_resident_memory_bytes')).toBeGreaterThan(2 ** 20)
    expect((await scrape()).find('process_resident_memory_bytes').length).toBe(1)
  })

  it('bear no DID, conversation content or token in a label', async () => {
    const [alice] = people('alice')
    const convoId = await createConvo(alice, { epoch: 0, metadata: { name: 'secretname' } })
    await alice.call('sendMessage', { convoId, epoch: 7, ciphertext: messageFor(convoId, 7) })
    await alice.call('getMessages', { convoId: newGroupId(), sinceMessage: 'secretid' })
    await sendRaw(`${server().url}/xrpc/${alice.did}?x=${await alice.token()}`, { method: 'GET' })
    const { text } = await scrape()
    expect(text).not.toMatch(/did:|secret|eyJ/)
  })

  it('are plain Prometheus text with help and type for every name', async () => {
    const response = await fetch(`${server().url}/metrics`)
    expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/)
    const one = new Scrape(await response.text())
    for (const [name, type] of one.types) {
      expect(one.text).toContain(`# HELP ${name} `)
      if (type === 'histogram') {
        const buckets = one.find(`${name}_bucket`)
        if (one.find(`${name}_count`).length > 0) expect(buckets.length).toBeGreaterThan(3)
      }
    }
  })
})

describe('access to metrics', () => {
  const { server } = useServer({ ...MODES[2].env, METRICS_TOKEN: 'scrape me' })

  it('needs the token where there is one', async () => {
    const url = `${server().url}/metrics`
    const status = async (headers: Record<string, string>) => (await fetch(url, { headers })).status
    expect(await status({})).toBe(403)
    expect(await status({ Authorization: 'Bearer scrape' })).toBe(403)
    expect(await status({ Authorization: 'Bearer scrape me' })).toBe(200)
  })
})
