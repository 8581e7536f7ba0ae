import type { Frame } from './frame.ts'
import type { LogRow } from './log-row.ts'
import type { Reader } from './read-memberships.ts'
import { eventsOf, isFor } from './row-events.ts'
import type { StreamEvent } from './stream-event.ts'

/** Gives an event of a row its cursor: only with the last one has a reader had the row. */
export type ToFrame = (event: StreamEvent, isLast: boolean) => Frame

/** An open stream, as the hub sees it. */
export type Subscriber = {
  readonly reader: Reader
  /** Takes an event; it may detach. */
  push(frame: Frame): void
  /** Everything that there is for now has been pushed. */
  flush(): void
  /** Takes something that has no position; a stream that is not up to date yet may drop it. */
  pushEphemeral(event: StreamEvent): void
}

/**
 * Takes the rows of the log in order and tells each open stream what it may see. Who is a member changes as the rows pass
 * that say so, and is asked of nobody: a stream gets the row that adds or removes its reader, and nothing outside.
 */
export class Hub {
  readonly #byConvo = new Map<string, Set<Subscriber>>()
  readonly #byDid = new Map<string, Set<Subscriber>>()
  readonly #convosOf = new Map<Subscriber, Set<string>>()
  readonly #touched = new Set<Subscriber>()

  get size(): number {
    return this.#convosOf.size
  }

  /** @param convoIds those that the reader is a member of, as of the last row that has passed */
  attach(subscriber: Subscriber, convoIds: readonly string[]): void {
    this.#convosOf.set(subscriber, new Set())
    addTo(this.#byDid, subscriber.reader.did, subscriber)
    for (const convoId of convoIds) this.#join(subscriber, convoId)
  }

  detach(subscriber: Subscriber): void {
    for (const convoId of this.#convosOf.get(subscriber) ?? []) {
      removeFrom(this.#byConvo, convoId, subscriber)
    }
    this.#convosOf.delete(subscriber)
    removeFrom(this.#byDid, subscriber.reader.did, subscriber)
    this.#touched.delete(subscriber)
  }

  /** Whether anybody would be told of this row now. */
  wants({ convoId, added }: LogRow): boolean {
    return this.#byConvo.has(convoId) || added.some((did) => this.#byDid.has(did))
  }

  pass(row: LogRow, toFrame: ToFrame): void {
    if (!this.wants(row)) return
    const { convoId, kind, added, removed } = row
    if (kind !== 'welcome') this.#eachOf(added, convoId, (subscriber) => this.#join(subscriber, convoId))
    const events = eventsOf(row)
    // For who is removed one more follows.
    const frames = events.map((event, i) => toFrame(event, i === events.length - 1 && removed.length === 0))
    for (const subscriber of this.#byConvo.get(convoId) ?? []) {
      if (isFor(subscriber.reader.did, row)) this.#push(subscriber, frames)
    }
    if (removed.length > 0) this.#passRemoval(row, toFrame)
  }

  /** Hands on what was pushed since the last time. */
  flush(): void {
    for (const subscriber of this.#touched) subscriber.flush()
    this.#touched.clear()
  }

  passEphemeral(convoId: string, event: StreamEvent): void {
    for (const subscriber of this.#byConvo.get(convoId) ?? []) subscriber.pushEphemeral(event)
  }

  #passRemoval({ convoId, removed }: LogRow, toFrame: ToFrame): void {
    const ended = toFrame({ type: 'infoEvent', info: 'membershipEnded', convoId }, true)
    this.#eachOf(removed, convoId, (subscriber) => {
      if (!this.#convosOf.get(subscriber)?.delete(convoId)) return
      removeFrom(this.#byConvo, convoId, subscriber)
      this.#push(subscriber, [ended])
    })
  }

  #eachOf(dids: readonly string[], convoId: string, then: (subscriber: Subscriber) => void): void {
    for (const did of dids) {
      for (const subscriber of this.#byDid.get(did) ?? []) {
        const { convoId: only } = subscriber.reader
        if (only === undefined || only === convoId) then(subscriber)
      }
    }
  }

  #join(subscriber: Subscriber, convoId: string): void {
    this.#convosOf.get(subscriber)!.add(convoId)
    addTo(this.#byConvo, convoId, subscriber)
  }

  #push(subscriber: Subscriber, frames: readonly Frame[]): void {
    this.#touched.add(subscriber)
    for (const frame of frames) subscriber.push(frame)
  }
}

function addTo(map: Map<string, Set<Subscriber>>, key: string, subscriber: Subscriber): void {
  const set = map.get(key)
  if (set) set.add(subscriber)
  else map.set(key, new Set([subscriber]))
}

function removeFrom(map: Map<string, Set<Subscriber>>, key: string, subscriber: Subscriber): void {
  const set = map.get(key)
  set?.delete(subscriber)
  if (set?.size === 0) map.delete(key)
}
