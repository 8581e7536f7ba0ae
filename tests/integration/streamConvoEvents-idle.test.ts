import { describe, expect, it, onTestFinished } from 'vitest'
import { createConvo, messageFor } from '../support/convo.ts'
import { MODES } from '../support/server.ts'
import { openReader, type ReaderKind, type ReaderOptions } from '../support/streams/stream-reader.ts'
import { useServer } from '../support/use-server.ts'

const HEARTBEAT_MS = 15_000

describe('streams of a server whose requests take half a second at most', () => {
  const { people, server } = useServer({ ...MODES[2].env, REQUEST_TIMEOUT_MS: '500' })

  it('stay open without events, say so every 15 s, and go on from what they say', async () => {
    const [alice, bob] = people('alice', 'bob')
    const convoId = await createConvo(alice, { epoch: 0, initialMembers: [bob.did] })
    const send = () => alice.ok('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
    const open = async (kind: ReaderKind, options: Partial<ReaderOptions>) => {
      const reader = await openReader(kind, { url: server().url, token: await bob.token(), ...options })
      onTestFinished(() => reader.close())
      return reader
    }
    const ways = (['sse', 'socket'] as const).flatMap((kind) => [
      { kind, options: {} },
      { kind, options: { convoId } },
    ])
    await send()
    const readers = await Promise.all(
      ways.map(({ kind, options }) => open(kind, { ...options, cursor: '0' })),
    )
    for (const reader of readers) await reader.until('caughtUp')
    await send()
    const startedMs = performance.now()
    const heartbeats = await Promise.all(readers.map((reader) => reader.until('heartbeat', 2 * HEARTBEAT_MS)))
    expect(performance.now() - startedMs).toBeLessThan(HEARTBEAT_MS + 3000)
    await Promise.all(readers.map((reader) => reader.until('heartbeat', 2 * HEARTBEAT_MS)))
    expect(performance.now() - startedMs).toBeGreaterThan(HEARTBEAT_MS)
    const unread = async () => (await bob.ok('getConvos')).conversations[0]!.unreadCount
    expect(await unread()).toBe(2)
    await send()
    for (const { cursor } of heartbeats) await bob.ok('updateCursor', { convoId, cursor })
    expect(await unread()).toBe(1)
    for (const [index, reader] of readers.entries()) {
      await reader.next((event) => event.type === 'messageEvent' && event.message.seq === 3)
      const { kind, options } = ways[index]!
      await reader.close()
      const again = await open(kind, { ...options, cursor: heartbeats[index]!.cursor })
      await again.until('caughtUp')
      const seqs = again.events.map((event) => event.type === 'messageEvent' && event.message.seq)
      expect(seqs).toEqual([3, false])
    }
  })
})
