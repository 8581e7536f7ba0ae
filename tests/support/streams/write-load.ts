import { base64, newDevice, welcomeFor } from '../real-group.ts'
import { ConvoWriter, type WriterContext } from './convo-writer.ts'
import type { StoredConvo } from './stored-truth.ts'

type LoadOptions = Omit<WriterContext, 'welcome' | 'acknowledged'>

/** How often a conversation is given up for a new one, of its steps. */
const RENEWAL = 0.01

/** Writes in several conversations at once until it is told to stop. */
export class WriteLoad {
  readonly acknowledged: string[]
  /** A server answered what it may not. */
  failure: unknown
  readonly #context: WriterContext
  readonly #running: Promise<unknown>
  #isOver = false

  private constructor(context: WriterContext, writers: readonly ConvoWriter[]) {
    this.#context = context
    this.acknowledged = context.acknowledged
    this.#running = Promise.all(writers.map((writer) => this.#write(writer))).catch((error: unknown) => {
      this.failure = error
    })
  }

  /** Begins with new conversations. */
  static async inNew(options: LoadOptions, convos: number): Promise<WriteLoad> {
    const context = await contextOf(options)
    return new WriteLoad(
      context,
      await Promise.all(Array.from({ length: convos }, () => ConvoWriter.create(context))),
    )
  }

  /** Goes on with those that there are. */
  static async inStored(options: LoadOptions, convos: readonly StoredConvo[]): Promise<WriteLoad> {
    const context = await contextOf(options)
    return new WriteLoad(
      context,
      convos.map((convo) => new ConvoWriter(context, convo)),
    )
  }

  /** Resolves when everything that was begun is done. */
  async stop(): Promise<void> {
    this.#isOver = true
    await this.#running
  }

  async #write(first: ConvoWriter): Promise<void> {
    let writer = first
    while (!this.#isOver) {
      if (this.#context.random.chance(RENEWAL)) writer = await ConvoWriter.create(this.#context)
      await writer.step()
    }
  }
}

async function contextOf(options: LoadOptions): Promise<WriterContext> {
  const welcome = base64(await welcomeFor(await newDevice('did:plc:invited')))
  return { ...options, welcome, acknowledged: [] }
}
