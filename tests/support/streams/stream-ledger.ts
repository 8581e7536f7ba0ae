import type { StreamEvent } from './event-check.ts'
import { DeliveryJudge, type ReaderTruth } from './judge-delivery.ts'
import { ACTIONS, digest, digestOfBytes, LedgerRows, ROW } from './ledger-rows.ts'
import type { Verdict } from './verdict.ts'

/** Where a reader begins: by conversation, the log row up to which it asks for nothing. */
export type Since = Iterable<readonly [convoId: string, n: number]>

const INFO: Record<string, number> = { OutdatedCursor: ROW.outdatedCursor, caughtUp: ROW.caughtUp }

/**
 * What one reader got over all its connections, to be held against the database in the end. It keeps 64 bytes of an
 * event, and no content.
 */
export class StreamLedger {
  readonly #rows = new LedgerRows()
  readonly #convos = new Map<string, number>()
  #since = new Map<string, number>()

  /**
   * Marks a connection: what follows came on it.
   *
   * @param cursor that it was opened with; later ones need one that this reader got, or '0'
   * @param since for the first connection, unless that begins at '0'; of a stream that begins now what the database
   *   had after it was open. Conversations that are not named are owed whole.
   */
  connected(cursor?: string, since?: Since): void {
    const isFirst = this.#rows.length === 0
    if (isFirst && cursor !== '0' && since === undefined) {
      throw new Error('the first connection must say where it begins')
    }
    if (!isFirst && (cursor === undefined || since !== undefined)) {
      throw new Error('a later connection must go on from a cursor')
    }
    if (since !== undefined) this.#since = new Map(since)
    this.#rows.push({ kind: ROW.connected, cursor: cursor === undefined ? 0 : digest(cursor) })
  }

  received(event: StreamEvent): void {
    if (this.#rows.length === 0) throw new Error('an event before the first connection')
    this.#rows.push({ ...this.#rowOf(event), cursor: digest(event.cursor) })
  }

  /** @throws Error when the reader connected with a cursor that it never got */
  judge(truth: ReaderTruth): Verdict {
    const delivery = { rows: this.#rows, convoIds: [...this.#convos.keys()], since: this.#since }
    return new DeliveryJudge(delivery, truth).judge()
  }

  #rowOf(event: StreamEvent) {
    switch (event.type) {
      case 'messageEvent':
        return this.#entryOf(event)
      case 'membershipEvent': {
        const convo = this.#convoOf(event.convoId)
        const action = ACTIONS.indexOf(event.action)
        return {
          kind: ROW.membership,
          convo,
          seq: event.seq,
          sender: digest(event.did),
          epoch: action,
        }
      }
      case 'ephemeralEvent':
        return { kind: ROW.ephemeral, convo: this.#convoOf(event.convoId) }
      case 'infoEvent':
        if (event.info !== 'membershipEnded') return { kind: INFO[event.info] ?? ROW.other }
        return { kind: ROW.membershipEnded, convo: this.#convoOf(event.convoId!) }
      default:
        return { kind: ROW.other }
    }
  }

  #entryOf({ message }: Extract<StreamEvent, { type: 'messageEvent' }>) {
    return {
      kind: message.messageType === 'commit' ? ROW.commit : ROW.app,
      convo: this.#convoOf(message.convoId),
      seq: message.seq,
      bytes: digestOfBytes(Buffer.from(message.ciphertext.$bytes, 'base64')),
      sender: digest(message.sender),
      epoch: message.epoch,
      logHash: digest(message.logHash ?? ''),
    }
  }

  #convoOf(convoId: string): number {
    const known = this.#convos.get(convoId)
    if (known !== undefined) return known
    this.#convos.set(convoId, this.#convos.size)
    return this.#convos.size - 1
  }
}
