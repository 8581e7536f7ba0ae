import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createConvo, messageFor } from '../support/convo.ts'
import { MODES, startMixedServers, startTestServer, type TestServer } from '../support/server.ts'

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
const ascending = (count: number) => Array.from({ length: count }, (_, i) => i + 1)

type Server = Pick<TestServer, 'as' | 'stop'>

const EVERY_MODE: { name: string; start(): Promise<Server> }[] = [
  ...MODES.map(({ name, env }) => ({ name, start: () => startTestServer(env) })),
  { name: 'half of the calls through each executor', start: startMixedServers },
]

/** With ENABLE_ACTOR_SYSTEM set (npm run test:races) in that mode alone, else in all. */
const chosen = process.env.ENABLE_ACTOR_SYSTEM
const modes =
  chosen === undefined
    ? EVERY_MODE
    : [{ name: `actors ${chosen}`, start: () => startTestServer({ ENABLE_ACTOR_SYSTEM: chosen }) }]

describe.each(modes)('races, $name', ({ start }) => {
  let server: Server
  beforeAll(async () => {
    server = await start()
  })
  afterAll(() => server.stop())

  const add = (convoId: string, did: string) =>
    server.as('did:plc:alice').ok('addMembers', { convoId, didList: [did] })

  it('ten concurrent adds all succeed with epochs 1 to 10', async () => {
    const alice = server.as('did:plc:alice')
    const convoId = await createConvo(alice)
    const replies = await Promise.all(ascending(10).map((i) => add(convoId, `did:plc:member${i}`)))
    const epochs = replies.map(({ newEpoch }) => newEpoch)
    expect(epochs.toSorted((a, b) => a - b)).toEqual(ascending(10))
    expect((await alice.ok('getEpoch', { convoId })).currentEpoch).toBe(10)
    const { conversations } = await alice.ok('getConvos')
    const members = conversations.find(({ id }) => id === convoId)!.members.map(({ did }) => did)
    expect(new Set(members).size).toBe(11)
    expect(members.length).toBe(11)
  })

  it('50 sends 5 ms apart with reads every 30 ms leave 50 messages and nothing unread', async () => {
    const [alice, bob] = [server.as('did:plc:alice'), server.as('did:plc:bob')]
    const convoId = await createConvo(alice)
    const { newEpoch: epoch } = await add(convoId, bob.did)
    let isSending = true
    const reading = (async () => {
      while (isSending) {
        await bob.ok('getMessages', { convoId, limit: 100 })
        await sleep(30)
      }
    })()
    const sends: Promise<unknown>[] = []
    for (let i = 0; i < 50; i++) {
      sends.push(alice.ok('sendMessage', { convoId, epoch, ciphertext: messageFor(convoId, epoch) }))
      await sleep(5)
    }
    await Promise.all(sends)
    isSending = false
    await reading
    const { messages } = await bob.ok('getMessages', { convoId, limit: 100, type: 'app' })
    expect(messages.length).toBe(50)
    const { conversations } = await bob.ok('getConvos')
    expect(conversations.find(({ id }) => id === convoId)!.unreadCount).toBe(0)
  })

  it('20 concurrent sends get seq 1 to 20', async () => {
    const alice = server.as('did:plc:alice')
    const convoId = await createConvo(alice)
    const sends = ascending(20).map(() =>
      alice.ok('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) }),
    )
    const seqs = (await Promise.all(sends)).map(({ seq }) => seq!)
    expect(seqs.toSorted((a, b) => a - b)).toEqual(ascending(20))
  })

  it('five adds, two of them late, get epochs 1 to 5 stored in the order of time', async () => {
    const alice = server.as('did:plc:alice')
    const convoId = await createConvo(alice)
    const delays = [0, 0, 0, 50, 100]
    await Promise.all(
      delays.map(async (ms, i) => {
        await sleep(ms)
        return add(convoId, `did:plc:late${i}`)
      }),
    )
    const { messages } = await alice.ok('getMessages', { convoId, type: 'commit' })
    expect(messages.map(({ epoch }) => epoch)).toEqual(ascending(5))
    const times = messages.map(({ createdAt }) => createdAt)
    expect(times).toEqual(times.toSorted())
  })

  it('five adds and five sends at once make five commits and five messages, none ahead of the epoch', async () => {
    const alice = server.as('did:plc:alice')
    const convoId = await createConvo(alice)
    const send = async (): Promise<void> => {
      for (let epoch = 0, tries = 0; tries < 20; tries++) {
        const { status, body } = await alice.call('sendMessage', {
          convoId,
          epoch,
          ciphertext: messageFor(convoId, epoch),
        })
        if (status === 200) return
        expect(body.error).toBe('EpochMismatch')
        epoch = body.serverEpoch as number
      }
      throw new Error('a sender never caught up')
    }
    const adds = ascending(5).map((i) => add(convoId, `did:plc:both${i}`))
    await Promise.all([...adds, ...ascending(5).map(send)])
    const { messages } = await alice.ok('getMessages', { convoId, limit: 100 })
    const commits = messages.filter(({ messageType }) => messageType === 'commit').map(({ epoch }) => epoch)
    const apps = messages.filter(({ messageType }) => messageType === 'app').map(({ epoch }) => epoch)
    expect(commits.toSorted((a, b) => a - b)).toEqual(ascending(5))
    expect(apps.length).toBe(5)
    const { currentEpoch } = await alice.ok('getEpoch', { convoId })
    expect(currentEpoch).toBe(5)
    for (const epoch of apps) expect(epoch).toBeLessThanOrEqual(currentEpoch)
  })
})
