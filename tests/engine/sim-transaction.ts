import { type BatchRows, foldUnits } from '@catbird/shard-worker/store/fold-units'
import { StoreError, type Unit } from '@catbird/shard-worker/store/store'
import type { SimDatabase } from './sim-database.ts'
import {
  recordKey,
  type SimConvo,
  type SimHead,
  type SimInterval,
  type SimKeyPackage,
  type SimLogRow,
  type SimRecord,
  type SimToken,
  type SimWelcome,
} from './sim-tables.ts'

/** Content that the database can never store, as a text with a NUL byte would be. */
export const POISON = 'poison'

/**
 * One transaction around the statement of `write-units.ts`. `lock` waits for a row, as `lockConversation`; `prepare`
 * is the statement's snapshot: takes what it can get without waiting and decides which conversations are allowed;
 * `acquire` inserts what has unique keys and may have to wait; `commit` makes all of it visible.
 */
export class SimTransaction {
  isDone = false
  readonly #database: SimDatabase
  #batch: BatchRows | undefined
  #allowed = new Map<string, SimHead>()
  readonly #held: (SimConvo | SimKeyPackage)[] = []
  readonly #inserting: SimConvo[] = []
  readonly #recording: string[] = []
  readonly #using: string[] = []

  constructor(database: SimDatabase) {
    this.#database = database
  }

  get holdsRow(): boolean {
    return this.#held.length > 0
  }

  lock(convo: SimConvo): void {
    if (convo.head) this.#hold(convo)
  }

  prepare(units: Unit[]): void {
    const batch = foldUnits(units)
    if (batch.rows.some(({ embed_type }) => embed_type === POISON)) throw new StoreError('data', 'poison')
    this.#batch = batch
    for (const head of batch.heads as SimHead[]) {
      const convo = this.#database.convo(head.convo_id)
      if (convo.head === undefined && head.expected_version === 0) this.#allowed.set(head.convo_id, head)
      else if (convo.head?.version === head.expected_version && this.#canHold(convo)) {
        this.#hold(convo)
        this.#allowed.set(head.convo_id, head)
      }
    }
    for (const { convo_id, did, hash } of batch.keyPackages as Record<string, string>[]) {
      const row = this.#database.findKeyPackage(did!, hash!)
      if (row && row.consumedBy === null && this.#canHold(row)) this.#hold(row)
      else this.#allowed.delete(convo_id!)
    }
    for (const record of batch.records as SimRecord[]) {
      if (this.#database.records.has(recordKey(record))) this.#allowed.delete(record.convo_id)
    }
    for (const { convo_id, hash } of batch.tokens as SimToken[]) {
      if (this.#database.usedTokens.has(hash)) this.#allowed.delete(convo_id)
    }
  }

  /** The transaction that this one has to wait for, when there is one. */
  acquire(): SimTransaction | undefined {
    return this.#insertHeads() ?? this.#insertTokens() ?? this.#insertRecords()
  }

  commit(atTime: number): Set<string> {
    const batch = this.#batch!
    const rows = (batch.rows as SimLogRow[]).filter((row) => this.#allowed.has(row.convo_id))
    this.#checkUnique(rows)
    for (const head of this.#allowed.values()) this.#database.convo(head.convo_id).head = head
    for (const row of rows) this.#insertRow({ ...row, committedAt: atTime })
    this.#moveMembers(batch)
    this.#moveWelcomes(batch)
    for (const { convo_id, did, hash } of batch.keyPackages as Record<string, string>[]) {
      if (this.#isWritten(convo_id)) this.#database.findKeyPackage(did!, hash!)!.consumedBy = convo_id!
    }
    for (const record of batch.records as SimRecord[]) {
      if (!this.#isWritten(record.convo_id)) continue
      this.#database.records.set(recordKey(record), structuredClone(record))
    }
    for (const { convo_id, hash } of batch.tokens as SimToken[]) {
      if (this.#isWritten(convo_id)) this.#database.usedTokens.add(hash)
    }
    this.#database.counts.written += this.#allowed.size
    this.#database.counts.lostGuards += batch.heads.length - this.#allowed.size
    this.end()
    return new Set(this.#allowed.keys())
  }

  /** Gives up what is held; without `commit` before it nothing has happened. */
  end(): void {
    if (this.isDone) return
    this.isDone = true
    for (const row of this.#held) row.holder = undefined
    for (const convo of this.#inserting) convo.inserter = undefined
    for (const key of this.#recording) this.#database.recordInserters.delete(key)
    for (const hash of this.#using) this.#database.tokenInserters.delete(hash)
  }

  #isWritten(convoId: unknown): boolean {
    return this.#allowed.has(convoId as string)
  }

  #canHold(row: SimConvo | SimKeyPackage): boolean {
    return row.holder === undefined || row.holder === this
  }

  #hold(row: SimConvo | SimKeyPackage): void {
    row.holder = this
    this.#held.push(row)
  }

  #insertHeads(): SimTransaction | undefined {
    for (const [convoId, head] of this.#allowed) {
      if (head.expected_version !== 0) continue
      const convo = this.#database.convo(convoId)
      if (convo.inserter && convo.inserter !== this) return convo.inserter
      // ON CONFLICT DO NOTHING: another was first.
      if (convo.head) this.#allowed.delete(convoId)
      else {
        convo.inserter = this
        this.#inserting.push(convo)
      }
    }
    return undefined
  }

  #insertRecords(): SimTransaction | undefined {
    const { recordInserters, records, counts } = this.#database
    for (const record of this.#batch!.records as SimRecord[]) {
      if (!this.#isWritten(record.convo_id)) continue
      const key = recordKey(record)
      const inserter = recordInserters.get(key)
      if (inserter && inserter !== this) return inserter
      if (inserter === this) continue
      if (records.has(key) || isTwice(this.#batch!.records as SimRecord[], record)) {
        counts.duplicateRecords++
        throw new StoreError('rolledBack', 'duplicate key in idempotency')
      }
      recordInserters.set(key, this)
      this.#recording.push(key)
    }
    return undefined
  }

  #insertTokens(): SimTransaction | undefined {
    const { tokenInserters, usedTokens, counts } = this.#database
    const tokens = this.#batch!.tokens as SimToken[]
    for (const { convo_id, hash } of tokens) {
      if (!this.#isWritten(convo_id)) continue
      const inserter = tokenInserters.get(hash)
      if (inserter && inserter !== this) return inserter
      if (inserter === this) continue
      if (usedTokens.has(hash) || tokens.filter((other) => other.hash === hash).length > 1) {
        counts.duplicateTokens++
        throw new StoreError('rolledBack', 'duplicate key in used_tokens')
      }
      tokenInserters.set(hash, this)
      this.#using.push(hash)
    }
    return undefined
  }

  #checkUnique(rows: SimLogRow[]): void {
    const { faults, counts } = this.#database
    const fail = (what: string) => {
      faults.push(what)
      throw new StoreError('rolledBack', what)
    }
    const messages = new Set<string>()
    for (const row of rows) {
      const { convo_id, n, seq, epoch, kind, bytes, message_id } = row
      const convo = this.#database.convo(convo_id)
      if (convo.log[n - 1]) fail(`two log rows ${convo_id} n=${n}`)
      if (seq !== undefined && convo.seqs.has(seq)) fail(`two entries ${convo_id} seq=${seq}`)
      if (kind === 'commit' && bytes && convo.commits.has(epoch))
        fail(`two commits ${convo_id} epoch=${epoch}`)
      if (message_id === undefined) continue
      const id = `${convo_id} ${message_id}`
      if (convo.messages.has(message_id) || messages.has(id)) {
        counts.duplicateMessages++
        throw new StoreError('rolledBack', 'duplicate key in log_message_id')
      }
      messages.add(id)
    }
  }

  #insertRow(row: SimLogRow): void {
    const convo = this.#database.convo(row.convo_id)
    convo.log[row.n - 1] = row
    if (row.seq !== undefined) convo.seqs.add(row.seq)
    if (row.message_id !== undefined) convo.messages.set(row.message_id, row)
    if (row.kind === 'commit' && row.bytes) convo.commits.set(row.epoch, row)
  }

  #moveMembers({ leaves, joins }: BatchRows): void {
    for (const { convo_id, did, left_n, to_seq } of leaves as SimInterval[]) {
      if (!this.#isWritten(convo_id)) continue
      const { intervals } = this.#database.convo(convo_id)
      for (const row of intervals) {
        if (row.did === did && row.left_n === undefined) Object.assign(row, { left_n, to_seq })
      }
    }
    for (const join of joins as SimInterval[]) {
      if (!this.#isWritten(join.convo_id)) continue
      const { intervals } = this.#database.convo(join.convo_id)
      const isActive = intervals.some((row) => row.did === join.did && row.left_n === undefined)
      if (isActive && join.left_n === undefined) {
        this.#database.faults.push(`two open intervals of ${join.did} in ${join.convo_id}`)
      }
      intervals.push({ ...join })
    }
  }

  #moveWelcomes({ withdrawals, welcomes }: BatchRows): void {
    for (const { convo_id, did, n, key_package_hash } of withdrawals as SimWelcome[]) {
      if (!this.#isWritten(convo_id)) continue
      for (const row of this.#database.convo(convo_id).welcomes) {
        const isMeant = row.did === did && row.n < n
        if (isMeant && row.key_package_hash === (key_package_hash ?? row.key_package_hash))
          row.withdrawn_n ??= n
      }
    }
    for (const welcome of welcomes as SimWelcome[]) {
      if (this.#isWritten(welcome.convo_id))
        this.#database.convo(welcome.convo_id).welcomes.push({ ...welcome })
    }
  }
}

function isTwice(records: SimRecord[], record: SimRecord): boolean {
  const key = recordKey(record)
  return records.filter((other) => recordKey(other) === key).length > 1
}
