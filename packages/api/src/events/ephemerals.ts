import { decodeBase64, encodeBase64 } from '@catbird/shared/bytes'
import { RefusalError } from '@catbird/shared/errors'
import type { Logger } from 'pino'
import { NotifyChannel } from './notify-channel.ts'

/** What NOTIFY carries at the most; the longest DID, conversation id and ciphertext together are below. */
const MAX_TEXT_BYTES = 7999
/** 8 MB at the most. */
const MAX_WAITING = 1000

/** Something that a member lets the others know for the moment. */
export type Ephemeral = { convoId: string; sender: string; ciphertext: Uint8Array; epoch: number }

/**
 * Brings what is sent in any process to the streams of all processes, at most once and kept nowhere. Whatever waits while a
 * statement runs goes with the next one.
 */
export class Ephemerals {
  readonly #channel: NotifyChannel
  readonly #log: Logger
  readonly #onEphemeral: (ephemeral: Ephemeral) => void
  #waiting: string[] = []
  #running: Promise<void> | undefined

  /** @param onEphemeral called with each that was published in any process, this one too */
  constructor(
    { databaseUrl, log }: { databaseUrl: string; log: Logger },
    onEphemeral: (ephemeral: Ephemeral) => void,
  ) {
    const options = { databaseUrl, log, name: 'ephemerals' }
    this.#channel = new NotifyChannel(options, (text) => this.#deliver(text))
    this.#log = log
    this.#onEphemeral = onEphemeral
  }

  start(): Promise<void> {
    return this.#channel.start()
  }

  stop(): Promise<void> {
    return this.#channel.stop()
  }

  /**
   * Resolves when it is on its way.
   * @throws RefusalError MessageTooLarge; Overloaded when too many wait; DatabaseUnavailable or the driver's error
   */
  async publish(ephemeral: Ephemeral): Promise<void> {
    const text = toText(ephemeral)
    if (Buffer.byteLength(text) > MAX_TEXT_BYTES) {
      throw new RefusalError('MessageTooLarge', 'too large to be passed on')
    }
    if (this.#waiting.length >= MAX_WAITING) {
      throw new RefusalError('Overloaded', 'too many ephemeral messages are waiting')
    }
    this.#waiting.push(text)
    // What waits now goes with the statement after the one that is on its way.
    await this.#running?.catch(() => {})
    this.#running ??= this.#notify().finally(() => {
      this.#running = undefined
    })
    await this.#running
  }

  async #notify(): Promise<void> {
    const texts = this.#waiting
    this.#waiting = []
    await this.#channel.notify(texts)
  }

  #deliver(text: string): void {
    const ephemeral = fromText(text)
    // Anybody who may use the database can say anything here.
    if (!ephemeral) return
    try {
      this.#onEphemeral(ephemeral)
    } catch (error) {
      this.#log.warn({ err: error }, 'An ephemeral message was not delivered')
    }
  }
}

function toText({ convoId, sender, ciphertext, epoch }: Ephemeral): string {
  return JSON.stringify({ convoId, sender, epoch, ciphertext: encodeBase64(ciphertext) })
}

function fromText(text: string): Ephemeral | undefined {
  try {
    const { convoId, sender, epoch, ciphertext } = JSON.parse(text)
    const isTyped = [convoId, sender, ciphertext].every((value) => typeof value === 'string')
    const bytes = isTyped && Number.isSafeInteger(epoch) && epoch >= 0 ? decodeBase64(ciphertext) : null
    return bytes ? { convoId, sender, epoch, ciphertext: bytes } : undefined
  } catch {
    return undefined
  }
}
