import { timestamp } from '@catbird/shared/clock'
import type { LogRow } from '../conversation/state.ts'

/** DIDs whose membership a row begins. */
export function addedBy({ event }: LogRow): string[] | undefined {
  if (event.kind === 'created') return [event.sender]
  return 'added' in event && event.added.length > 0 ? event.added : undefined
}

export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}

/** Follows who joins and leaves within one unit: an interval that opens and closes there is one finished row. */
export class MembershipFold {
  readonly joins: Record<string, unknown>[] = []
  readonly leaves = new Map<string, Record<string, unknown>>()
  readonly welcomes: Record<string, unknown>[] = []
  readonly welcomeBytes: Record<string, unknown>[] = []
  readonly withdrawals: Record<string, unknown>[] = []
  readonly #open = new Map<string, Record<string, unknown>>()
  readonly #convoId: string
  #seq: number

  /** @param seq of the conversation before the unit */
  constructor(convoId: string, seq: number) {
    this.#convoId = convoId
    this.#seq = seq
  }

  apply(row: LogRow, entryId: string): void {
    if (row.seq !== undefined) this.#seq = row.seq
    const { event } = row
    if ('removed' in event) for (const did of event.removed) this.#leave(did, row)
    if (event.kind === 'welcome') this.#welcome(row, event, entryId)
    else for (const [index, did] of (addedBy(row) ?? []).entries()) this.#join(did, index, row)
  }

  #join(did: string, index: number, row: LogRow): void {
    const interval = {
      convo_id: this.#convoId,
      did,
      joined_n: row.n,
      joined_index: index,
      from_seq: row.seq ?? 1,
      joined_at: timestamp(row.atMs),
    }
    this.#open.set(did, interval)
    this.joins.push(interval)
  }

  #leave(did: string, row: LogRow): void {
    const end = { left_n: row.n, left_at: timestamp(row.atMs), to_seq: row.seq ?? this.#seq }
    const opened = this.#open.get(did)
    if (opened) Object.assign(opened, end)
    else this.leaves.set(did, { convo_id: this.#convoId, did, ...end })
    this.#open.delete(did)
    this.#withdraw(row.n, did)
  }

  #welcome(row: LogRow, event: Extract<LogRow['event'], { kind: 'welcome' }>, entryId: string): void {
    this.welcomeBytes.push({ convo_id: this.#convoId, entry_id: entryId, bytes: base64(event.bytes) })
    for (const { did, keyPackageHash = '', keyPackageRef } of event.recipients) {
      this.#withdraw(row.n, did, keyPackageHash)
      this.welcomes.push({
        convo_id: this.#convoId,
        did,
        n: row.n,
        key_package_hash: keyPackageHash,
        key_package_ref: keyPackageRef,
        entry_id: entryId,
        created_at: timestamp(row.atMs),
      })
    }
  }

  /** Withdraws what an earlier invitation left: all of a DID, or what the new one for a key package replaces. */
  #withdraw(n: number, did: string, keyPackageHash?: string): void {
    this.withdrawals.push({ convo_id: this.#convoId, did, n, key_package_hash: keyPackageHash })
    for (const welcome of this.welcomes) {
      const isReplaced = keyPackageHash === undefined || welcome.key_package_hash === keyPackageHash
      if (welcome.did === did && isReplaced) welcome.withdrawn_n ??= n
    }
  }
}
