import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { expect, it, vi } from 'vitest'
import { StreamSocket } from './stream-socket.ts'

it('a socket is drained only when also that has left which was sent while it drained', async () => {
  const leaving: (() => void)[] = []
  const take = (done: () => void) => void leaving.push(done)
  const duplex = new Duplex({
    read() {},
    write: (_frame, _encoding, done) => take(done),
    writev: (_frames, done) => take(done),
  })
  const socket = new StreamSocket(duplex as Socket)
  const send = () => socket.send([Buffer.alloc(100)], (frame) => duplex.write(frame))
  const leave = async () => {
    leaving.shift()!()
    await new Promise(setImmediate)
  }
  const drained = vi.fn()
  send()
  send()
  socket.whenDrained(drained)
  await leave()
  send()
  await leave()
  expect(socket.backlog).toBe(100)
  expect(drained).not.toHaveBeenCalled()
  while (leaving.length > 0) await leave()
  await new Promise(setImmediate)
  expect(socket.backlog).toBe(0)
  expect(drained).toHaveBeenCalledTimes(1)
})
