import { expect, vi } from 'vitest'
import type { Connection } from './connection.ts'

/** A connection whose peer reads when it is told to. */
export class FakeConnection implements Connection {
  readonly form = 'sse'
  readonly events: Record<string, unknown>[] = []
  readonly cursors: string[] = []
  backlog = 0
  isReading = true
  isEnded = false
  #drained: (() => void)[] = []
  #closed: (() => void)[] = []

  send(frames: readonly Buffer[]): void {
    for (const frame of frames) {
      const [, cursor, json] = /^id: (.*)\ndata: (.*)\n\n$/s.exec(frame.toString())!
      this.events.push(JSON.parse(json!))
      this.cursors.push(cursor!)
      if (!this.isReading) this.backlog += frame.length
    }
  }

  whenDrained(then: () => void): void {
    if (this.backlog === 0) setImmediate(then)
    else this.#drained.push(then)
  }

  end(last?: Buffer): void {
    if (last) this.send([last])
    this.isEnded = true
  }

  get waiting(): number {
    return this.backlog
  }

  onClose(then: () => void): void {
    this.#closed.push(then)
  }

  read(): void {
    this.isReading = true
    this.backlog = 0
    for (const then of this.#drained.splice(0)) then()
  }

  close(): void {
    for (const then of [...this.#closed, ...this.#drained]) then()
  }

  get seqs(): unknown[] {
    return this.events
      .filter(({ type }) => type === 'messageEvent')
      .map(({ message }) => (message as { seq: number }).seq)
  }

  get infos(): unknown[] {
    return this.events.filter(({ type }) => type === 'infoEvent').map(({ info }) => info)
  }

  async has(info: string): Promise<void> {
    await vi.waitFor(() => expect(this.infos).toContain(info), { timeout: 8000, interval: 5 })
  }
}
