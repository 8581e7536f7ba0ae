import { type Command, type Reply, refused } from '@catbird/shared/commands'
import type {
  ActorReport,
  FromShard,
  LogLine,
  Passivation,
  ShardSample,
  ShardSettings,
  ShardStatus,
  ToShard,
} from '@catbird/shared/shard-protocol'
import type { Logger } from 'pino'
import type { RestartReason } from './restart-reason.ts'
import { ShardSilent, ShardThread } from './shard-thread.ts'

const HEARTBEAT_MS = 1000
/** A thread that does not answer for this long is given up. */
const HANG_MS = 5000
/** The same, when the server stops and everybody waits. */
const SILENT_MS = 1500
const BACK_OFF_MS = { first: 100, max: 10_000 }
/** A life longer than this starts the back-off anew. */
const STABLE_MS = 30_000
/** Smaller byte arrays are cheaper to copy than to transfer. */
const TRANSFER_FROM = 64 * 1024
/** Restarts that are remembered. */
const MAX_RESTARTS = 20

export type ShardState = 'starting' | 'up' | 'down' | 'stopped'

/** A life that ended, and why. */
export type ShardRestart = { atMs: number; reason: RestartReason }

export type ShardClientEvents = {
  onRestart(shard: number, reason: RestartReason): void
  /** The last metrics of a life that is over, so that counters can go on. */
  onLastStatus(shard: number, status: ShardStatus): void
}

/**
 * The front's side of one shard: sends commands in batches, matches replies, watches the thread and starts it again
 * with a growing pause when it dies (G12). Who waits then is told that the outcome is unknown.
 */
export class ShardClient {
  readonly shard: number
  readonly #settings: ShardSettings
  readonly #log: Logger
  readonly #events: ShardClientEvents
  readonly #waiting = new Map<number, (reply: Reply) => void>()
  #thread: ShardThread | undefined
  #state: ShardState = 'starting'
  #lastStatus: ShardStatus | undefined
  #asking: Promise<ShardStatus> | undefined
  #isPinging = false
  #outgoing: ToShard['requests'] = []
  #nextId = 0
  #failures = 0
  #startedAtMs = 0
  #heartbeat: NodeJS.Timeout | undefined
  #life = 0
  #restarts: ShardRestart[] = []

  constructor(settings: ShardSettings, log: Logger, events: ShardClientEvents) {
    this.shard = settings.shard
    this.#settings = settings
    this.#log = log.child({ shard: settings.shard })
    this.#events = events
  }

  get state(): ShardState {
    return this.#state
  }

  /** The latest, oldest first. */
  get restarts(): readonly ShardRestart[] {
    return this.#restarts
  }

  /** Starts the thread, again and again until it runs; resolves after the first try. */
  async start(): Promise<void> {
    if (this.#state === 'stopped') return
    const life = ++this.#life
    this.#state = 'starting'
    this.#startedAtMs = Date.now()
    try {
      const thread = await ShardThread.start(this.#settings, (error) => this.#onDeath(life, 'crashed', error))
      if (life !== this.#life) return void thread.destroy()
      this.#thread = thread
      thread.port.on('message', (message: FromShard) => this.#receive(message))
      this.#state = 'up'
      this.#heartbeat = setInterval(() => this.#beat(life), HEARTBEAT_MS)
      this.#log.info('Shard is up')
    } catch (error) {
      this.#onDeath(life, 'start_failed', error)
    }
  }

  /** What this life of the shard last told; undefined until it has told anything. */
  get lastStatus(): ShardStatus | undefined {
    return this.#lastStatus
  }

  /** Never rejects; 503 at once while the shard is not up. */
  execute(command: Command): Promise<Reply> {
    if (this.#state !== 'up') {
      const error = this.#state === 'stopped' ? 'ShuttingDown' : 'Overloaded'
      return Promise.resolve(refused(error, 'the shard of this conversation is not up'))
    }
    return new Promise((resolve) => {
      const id = this.#nextId++
      this.#waiting.set(id, resolve)
      this.#outgoing.push({ id, command })
      if (this.#outgoing.length === 1) setImmediate(() => this.#send())
    })
  }

  /** Rejects when the shard is down or does not answer in time. */
  status(): Promise<ShardStatus> {
    // All who ask at once share one answer: strangers may ask for health as often as they like.
    this.#asking ??= this.#askStatus().finally(() => {
      this.#asking = undefined
    })
    return this.#asking
  }

  /** Like the two below for operators: rejects when the shard is down, does not answer, or is being asked already. */
  async sample(): Promise<ShardSample> {
    return this.#running().sample()
  }

  async describeActor(convoId: string): Promise<ActorReport> {
    return this.#running().describeActor(convoId)
  }

  async passivate(convoId: string): Promise<Passivation> {
    return this.#running().passivate(convoId)
  }

  async #askStatus(): Promise<ShardStatus> {
    const [life, thread] = [this.#life, this.#running()]
    const status = await thread.status()
    if (life === this.#life) this.#lastStatus = status
    return status
  }

  #running(): ShardThread {
    if (!this.#thread || this.#state !== 'up') throw new Error('the shard is not up')
    return this.#thread
  }

  /** Ends the thread without warning; like after a crash it is started again. */
  async terminate(): Promise<void> {
    const [life, thread] = [this.#life, this.#thread]
    await thread?.terminate()
    this.#onDeath(life, 'terminated', new Error('the thread was ended'))
  }

  async stop(deadlineMs: number): Promise<void> {
    this.#state = 'stopped'
    clearInterval(this.#heartbeat)
    this.#send()
    try {
      // One that does not answer even this finishes nothing.
      await this.#thread?.ping(Math.min(SILENT_MS, Math.max(1, deadlineMs - Date.now())))
      await this.#thread?.stop(deadlineMs)
    } catch (error) {
      this.#log.error({ err: error }, 'Shard did not stop in time')
    }
    // What the port still holds was posted before the stop was answered.
    await new Promise((resolve) => setImmediate(resolve))
    this.#life++
    this.#answerAll()
    await this.#thread?.destroy()
  }

  #send(): void {
    const requests = this.#outgoing
    if (requests.length === 0) return
    this.#outgoing = []
    this.#thread?.port.postMessage({ requests } satisfies ToShard, requests.flatMap(transferable))
  }

  #receive({ replies, logs }: FromShard): void {
    for (const { id, reply } of replies) {
      this.#waiting.get(id)?.(reply)
      this.#waiting.delete(id)
    }
    for (const line of logs) this.#write(line)
  }

  #write({ level, message, fields }: LogLine): void {
    this.#log[level](fields, message)
  }

  #beat(life: number): void {
    if (this.#isPinging || !this.#thread) return
    this.#isPinging = true
    this.#thread
      .ping(HANG_MS)
      .catch((error) => {
        // Any other failure comes with a death, which is told elsewhere.
        if (error instanceof ShardSilent) this.#onDeath(life, 'hung', error)
      })
      .finally(() => {
        this.#isPinging = false
      })
  }

  #onDeath(life: number, reason: RestartReason, error: unknown): void {
    if (life !== this.#life || this.#state === 'stopped') return
    this.#life++
    this.#state = 'down'
    clearInterval(this.#heartbeat)
    if (this.#lastStatus) this.#events.onLastStatus(this.shard, this.#lastStatus)
    this.#lastStatus = undefined
    const thread = this.#thread
    this.#thread = undefined
    void thread?.destroy()
    this.#answerAll()
    this.#failures = Date.now() - this.#startedAtMs > STABLE_MS ? 0 : this.#failures + 1
    const pauseMs = Math.min(BACK_OFF_MS.max, BACK_OFF_MS.first * 2 ** Math.max(0, this.#failures - 1))
    this.#log.error({ err: error, reason, pauseMs }, 'Shard is down and will be started again')
    this.#restarts = [...this.#restarts, { atMs: Date.now(), reason }].slice(-MAX_RESTARTS)
    this.#events.onRestart(this.shard, reason)
    setTimeout(() => void this.start(), pauseMs)
  }

  #answerAll(): void {
    this.#outgoing = []
    for (const resolve of this.#waiting.values()) {
      resolve(refused('OutcomeUnknown', 'the write may or may not have happened; retry with the same key'))
    }
    this.#waiting.clear()
  }
}

function transferable({ command }: { command: Command }): ArrayBuffer[] {
  const arrays = [
    'bytes' in command ? command.bytes : undefined,
    'commit' in command ? command.commit?.bytes : undefined,
    'welcome' in command ? command.welcome?.bytes : undefined,
  ]
  return arrays.flatMap((bytes) =>
    bytes && bytes.byteLength >= TRANSFER_FROM ? [bytes.buffer as ArrayBuffer] : [],
  )
}
