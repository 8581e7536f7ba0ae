import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { Outbox, waitingFrames } from './outbox.ts'

const KIB = 1024
const turn = () => new Promise(setImmediate)

/** A socket whose bytes leave when they are let. */
function slowSocket() {
  const leaving: (() => void)[] = []
  const taken: Buffer[] = []
  const socket = new Duplex({
    allowHalfOpen: true,
    read() {},
    write: (chunk, _encoding, done) => {
      taken.push(chunk)
      leaving.push(done)
    },
    writev: (chunks, done) => {
      taken.push(...chunks.map(({ chunk }) => chunk))
      leaving.push(done)
    },
  })
  const leave = async () => {
    leaving.shift()?.()
    await turn()
  }
  const leaveAll = async () => {
    while (leaving.length > 0) await leave()
    await turn()
  }
  return { socket: socket as unknown as Socket, taken, leave, leaveAll }
}

describe('an outbox', () => {
  let slow: ReturnType<typeof slowSocket>
  let pieces: { size: number; isLast: boolean }[]
  let outbox: Outbox

  beforeEach(() => {
    slow = slowSocket()
    pieces = []
    outbox = new Outbox(slow.socket, (piece, isLast) => {
      pieces.push({ size: piece.length, isLast })
      slow.socket.write(piece)
    })
  })

  it('hands over at once what fits, and a large frame in pieces, each when the one before has left', async () => {
    const frames = [Buffer.alloc(100, 1), Buffer.alloc(150 * KIB, 2), Buffer.alloc(200, 3)]
    outbox.send(frames.slice(0, 1))
    expect(pieces).toEqual([{ size: 100, isLast: true }])
    outbox.send(frames.slice(1))
    const backlogs = [outbox.backlog]
    expect(backlogs[0]).toBe(150 * KIB + 300)
    while (outbox.backlog > 0) {
      await slow.leave()
      backlogs.push(outbox.backlog)
    }
    expect(backlogs.length).toBeGreaterThan(3)
    expect(pieces.filter(({ isLast }) => isLast).length).toBe(3)
    expect(Math.max(...pieces.map(({ size }) => size))).toBeLessThanOrEqual(64 * KIB)
    expect(Buffer.concat(slow.taken)).toEqual(Buffer.concat(frames))
  })

  it('lets nothing overtake the rest of a large frame, whenever it comes', async () => {
    const frames = [Buffer.alloc(100 * KIB, 1), Buffer.alloc(10, 2), Buffer.alloc(10, 3)]
    outbox.send(frames.slice(0, 1))
    // The first piece has left, and the next has not been handed over.
    await slow.leave()
    outbox.send(frames.slice(1, 2))
    await slow.leave()
    outbox.send(frames.slice(2))
    await slow.leaveAll()
    expect(Buffer.concat(slow.taken).equals(Buffer.concat(frames))).toBe(true)
  })

  it('tells what waits behind the frame that is on its way', async () => {
    outbox.send([Buffer.alloc(150 * KIB)])
    expect(outbox.waiting).toBe(0)
    outbox.send([Buffer.alloc(300), Buffer.alloc(200)])
    expect(outbox.waiting).toBe(500)
    await slow.leaveAll()
    expect([outbox.waiting, outbox.backlog]).toEqual([0, 0])
  })

  it('counts a frame that waits for many once, until the last has had it or is gone', async () => {
    const before = waitingFrames.bytes
    const frame = Buffer.alloc(200 * KIB)
    const other = slowSocket()
    const second = new Outbox(other.socket, (piece) => other.socket.write(piece))
    outbox.send([frame])
    second.send([frame])
    expect(waitingFrames.bytes - before).toBe(200 * KIB)
    await slow.leaveAll()
    expect(waitingFrames.bytes - before).toBe(200 * KIB)
    other.socket.destroy()
    await turn()
    expect(waitingFrames.bytes).toBe(before)
  })

  it('is drained only when also that has left which was sent while it drained', async () => {
    const drained = vi.fn()
    outbox.send([Buffer.alloc(100)])
    outbox.send([Buffer.alloc(100)])
    outbox.whenDrained(drained)
    await slow.leave()
    outbox.send([Buffer.alloc(100 * KIB)])
    await slow.leave()
    expect(drained).not.toHaveBeenCalled()
    await slow.leaveAll()
    expect(outbox.backlog).toBe(0)
    expect(drained).toHaveBeenCalledTimes(1)
  })

  it('ends when all has left, and takes nothing more', async () => {
    const finish = vi.fn()
    outbox.send([Buffer.alloc(100 * KIB, 1)])
    outbox.end(Buffer.alloc(10, 2), finish)
    outbox.send([Buffer.alloc(10, 3)])
    expect(finish).not.toHaveBeenCalled()
    await slow.leaveAll()
    expect(finish).toHaveBeenCalledTimes(1)
    expect(Buffer.concat(slow.taken)).toEqual(
      Buffer.concat([Buffer.alloc(100 * KIB, 1), Buffer.alloc(10, 2)]),
    )
    slow.socket.destroy()
  })
})
