import { systemClock } from '@catbird/shared/clock'
import { openSse } from '../support/streams/sse-reader.ts'
import { type StreamEnd, StreamRefused, type Transport } from '../support/streams/transport.ts'
import type { Account } from './accounts.ts'
import type { Deliveries } from './deliveries.ts'
import type { World } from './world.ts'

/** Streams that are opened at once. */
const AT_ONCE = 32
const REOPEN_MS = 200
const OPEN_MS = 10_000

/** A stream for each account that is in a conversation, opened again with its cursor when it breaks. */
export class Readers {
  readonly #url: string
  readonly #deliveries: Deliveries
  readonly #onLost: (name: string) => void
  readonly #transports = new Map<Account, Transport>()
  #isClosed = false

  private constructor(url: string, deliveries: Deliveries, onLost: (name: string) => void) {
    this.#url = url
    this.#deliveries = deliveries
    this.#onLost = onLost
  }

  /**
   * Resolves when all streams are live.
   *
   * @param onLost told of each stream that the server did not keep open
   */
  static async open(
    url: string,
    world: World,
    deliveries: Deliveries,
    onLost: (name: string) => void,
  ): Promise<Readers> {
    const readers = new Readers(url, deliveries, onLost)
    const accounts = [...new Set(world.convos.flatMap(({ members }) => members))]
    const opener = async (): Promise<void> => {
      for (let account = accounts.pop(); account; account = accounts.pop()) await readers.#open(account)
    }
    try {
      await Promise.all(Array.from({ length: AT_ONCE }, opener))
    } catch (error) {
      readers.close()
      throw error
    }
    return readers
  }

  get count(): number {
    return this.#transports.size
  }

  close(): void {
    this.#isClosed = true
    for (const transport of this.#transports.values()) transport.destroy()
  }

  async #open(account: Account): Promise<void> {
    const reader = new Reader(this.#deliveries)
    await this.#connect(account, reader)
    const deadline = systemClock.sleep(OPEN_MS).then(() => {
      throw new Error('a stream was not live in time')
    })
    await Promise.race([reader.isLive, deadline])
  }

  async #connect(account: Account, reader: Reader): Promise<void> {
    const options = { url: this.#url, token: account.token, cursor: reader.cursor }
    const onEnd = (end: StreamEnd) => void this.#reopen(account, reader, end)
    const transport = await openSse(options, { onEvent: (event) => reader.take(event), onPing() {}, onEnd })
    if (this.#isClosed) transport.destroy()
    else this.#transports.set(account, transport)
  }

  async #reopen(account: Account, reader: Reader, { reason, problem }: StreamEnd): Promise<void> {
    if (this.#isClosed) return
    this.#onLost(problem === undefined ? 'StreamLost' : 'StreamInvalid')
    if (reason === 'invalid') return
    while (!this.#isClosed) {
      await systemClock.sleep(REOPEN_MS * (0.5 + Math.random()))
      try {
        return await this.#connect(account, reader)
      } catch (error) {
        this.#onLost(error instanceof StreamRefused ? error.body.error : 'StreamNotOpened')
      }
    }
  }
}

/** What one account has had; what comes again after a new connection does not count. */
class Reader {
  cursor: string | undefined
  readonly isLive: Promise<void>
  readonly #deliveries: Deliveries
  readonly #seqs = new Map<string, number>()
  #caughtUp = () => {}

  constructor(deliveries: Deliveries) {
    this.#deliveries = deliveries
    const { promise, resolve } = Promise.withResolvers<void>()
    this.isLive = promise
    this.#caughtUp = resolve
  }

  take(event: Record<string, unknown>): void {
    this.cursor = String(event.cursor)
    if (event.info === 'caughtUp') this.#caughtUp()
    const message = event.message as { convoId: string; seq: number } | undefined
    if (!message || message.seq <= (this.#seqs.get(message.convoId) ?? 0)) return
    this.#seqs.set(message.convoId, message.seq)
    this.#deliveries.arrived(message.convoId, message.seq)
  }
}
