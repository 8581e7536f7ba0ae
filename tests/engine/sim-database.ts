import type { FactKeys, Facts } from '@catbird/shard-worker/conversation/facts'
import type { ConvoState } from '@catbird/shard-worker/conversation/state'
import type { Inspection, InspectionKey } from '@catbird/shard-worker/store/store'
import { sha256Hex } from '@catbird/shared/bytes'
import { recordKey, SimConvo, type SimKeyPackage, type SimRecord } from './sim-tables.ts'
import type { SimTransaction } from './sim-transaction.ts'

/**
 * What several owners share: the committed rows, with the semantics of the statements in
 * `packages/shard-worker/src/store`. Each method here is one snapshot; writes are `SimTransaction`s.
 */
export class SimDatabase {
  readonly convos = new Map<string, SimConvo>()
  readonly keyPackages: SimKeyPackage[] = []
  readonly records = new Map<string, SimRecord>()
  readonly recordInserters = new Map<string, SimTransaction>()
  readonly usedTokens = new Set<string>()
  readonly tokenInserters = new Map<string, SimTransaction>()
  /** Rows that a unique index had to stop although the guards should have: each one is a fault of the engine. */
  readonly faults: string[] = []
  /** What unique indexes stopped that the engine lets them stop, and guards that were lost. */
  readonly counts = {
    duplicateMessages: 0,
    duplicateRecords: 0,
    duplicateTokens: 0,
    lostGuards: 0,
    written: 0,
  }

  convo(convoId: string): SimConvo {
    let convo = this.convos.get(convoId)
    if (!convo) {
      convo = new SimConvo()
      this.convos.set(convoId, convo)
    }
    return convo
  }

  load(convoIds: string[]): Map<string, ConvoState> {
    const states = new Map<string, ConvoState>()
    for (const convoId of convoIds) {
      const state = this.convo(convoId).state
      if (state) states.set(convoId, state)
    }
    return states
  }

  inspect(keys: InspectionKey[]): Inspection[] {
    return keys.map(({ convoId, n, winnerOf }) => {
      const convo = this.convo(convoId)
      const row = n === undefined ? undefined : convo.log[n - 1]
      const winner = winnerOf === undefined ? undefined : convo.commits.get(winnerOf + 1)
      return {
        version: convo.head?.version ?? 0,
        entryId: row?.entry_id,
        winner: winner && {
          seq: winner.seq!,
          epoch: winner.epoch,
          sha256: sha256Hex(Buffer.from(winner.bytes!, 'base64')),
        },
      }
    })
  }

  /** The parts of `loadFacts`, each with a snapshot of its own; those that nobody asks for are left out. */
  factReads(keys: FactKeys[], facts: Facts[]): (() => void)[] {
    const reads: (() => void)[] = []
    if (keys.some(({ record }) => record)) reads.push(() => this.#readRecords(keys, facts))
    if (keys.some(({ messageId }) => messageId !== undefined)) {
      reads.push(() => this.#readMessages(keys, facts))
    }
    if (keys.some(({ keyPackages = [] }) => keyPackages.length > 0)) {
      reads.push(() => this.#readKeyPackages(keys, facts))
    }
    if (keys.some(({ formerMembers = [] }) => formerMembers.length > 0)) {
      reads.push(() => this.#readFormerMembers(keys, facts))
    }
    if (keys.some(({ tokenHash }) => tokenHash !== undefined)) reads.push(() => this.#readTokens(keys, facts))
    return reads
  }

  findKeyPackage(did: string, hash: string): SimKeyPackage | undefined {
    return this.keyPackages.find((row) => row.did === did && row.hash === hash)
  }

  #readRecords(keys: FactKeys[], facts: Facts[]): void {
    for (const [i, { record }] of keys.entries()) {
      const row = record && this.records.get(recordKey(record))
      if (row) facts[i]!.record = { contentHash: row.content_hash, answer: structuredClone(row.answer) }
    }
  }

  #readMessages(keys: FactKeys[], facts: Facts[]): void {
    for (const [i, { convoId, messageId }] of keys.entries()) {
      const row = messageId === undefined ? undefined : this.convo(convoId).messages.get(messageId)
      if (!row) continue
      facts[i]!.message = {
        sender: row.sender,
        contentHash: row.content_hash ?? null,
        answer: {
          messageId: row.message_id,
          receivedAt: row.created_at,
          seq: row.seq,
          epoch: row.epoch,
          logHash: row.log_hash,
        },
      }
    }
  }

  #readKeyPackages(keys: FactKeys[], facts: Facts[]): void {
    for (const [i, { keyPackages = [] }] of keys.entries()) {
      for (const name of keyPackages) {
        const rows = this.keyPackages.filter(
          ({ did, hash, ref }) => did === name.did && (hash === name.hash || ref === name.hash),
        )
        for (const { did, hash, ref, lastResort, consumedBy } of rows) {
          facts[i]!.keyPackages.push({ did, hash, ref, lastResort, consumedBy })
        }
      }
    }
  }

  #readTokens(keys: FactKeys[], facts: Facts[]): void {
    for (const [i, { tokenHash }] of keys.entries()) {
      if (tokenHash !== undefined && this.usedTokens.has(tokenHash)) facts[i]!.isTokenUsed = true
    }
  }

  #readFormerMembers(keys: FactKeys[], facts: Facts[]): void {
    for (const [i, { convoId, formerMembers = [] }] of keys.entries()) {
      const { intervals } = this.convo(convoId)
      for (const did of new Set(formerMembers)) {
        if (intervals.some((row) => row.did === did && row.left_n !== undefined)) {
          facts[i]!.formerMembers.push(did)
        }
      }
    }
  }
}
