import type { Command } from '@catbird/shared/commands'
import { decide, factKeys } from '@catbird/shard-worker/conversation/decide'
import { withWinner } from '@catbird/shard-worker/conversation/epoch'
import type { Facts } from '@catbird/shard-worker/conversation/facts'
import { type LockedResult, type SentWrite, StoreError, type Unit } from '@catbird/shard-worker/store/store'
import type { SimStore } from './sim-store.ts'
import { SimTransaction } from './sim-transaction.ts'

/** As in `run-locked.ts`, whose steps these are. */
const TRIES = 5
const PAUSE_MS = 50

export async function runLockedInSteps(
  store: SimStore,
  command: Command,
  entryId: string,
): Promise<LockedResult> {
  const { clock } = store.options
  let sent: SentWrite | undefined
  let lost: StoreError | undefined
  for (let tries = 0; tries < TRIES && clock.now() < command.deadlineMs; tries++) {
    if (tries > 0) await clock.sleep(PAUSE_MS * tries)
    try {
      const result = await tryOnce(store, command, entryId, sent, (write) => {
        sent = write
      })
      if (result) return result
      lost = undefined
    } catch (error) {
      if (!(error instanceof StoreError) || error.failure === 'data') throw error
      if (!sent && error.failure !== 'rolledBack') throw error
      lost = new StoreError(sent ? 'unknown' : 'rolledBack', error)
    }
  }
  throw lost ?? new StoreError('rolledBack', 'guards were lost again and again')
}

/** One transaction: waits for the row, reads, decides, writes. */
async function tryOnce(
  store: SimStore,
  command: Command,
  entryId: string,
  sent: SentWrite | undefined,
  onWrite: (write: SentWrite) => void,
): Promise<LockedResult | undefined> {
  const { database } = store.options
  const failure = store.failure('locked')
  if (failure === 'unavailable' || failure === 'never') return (await store.reply('locked', failure)) as never
  const transaction = new SimTransaction(database)
  try {
    const convo = database.convo(command.convoId)
    await store.step('locked.lock', 'writes', () => transaction.lock(convo), { isReady: () => !convo.holder })
    const before = sent && (await findWrite(store, command.convoId, entryId, sent))
    const decided = before ?? (await decideUnderLock(store, command, entryId))
    if (!('unit' in decided)) {
      transaction.end()
      await store.reply('locked', failure === 'rolledBack' ? undefined : failure)
      return decided
    }
    const { unit, result } = decided
    onWrite({ n: unit.expectedVersion + 1, result })
    const written = store.commitInSteps('locked', transaction, [unit], failure)
    if (failure === 'lost' || failure === 'held') {
      written.catch(() => {})
      return (await store.reply('locked', failure)) as never
    }
    const outcome = await written.catch((error: unknown) => error)
    await store.reply('locked')
    if (!(outcome instanceof Set)) throw outcome
    return outcome.has(command.convoId) ? result : undefined
  } finally {
    if (failure !== 'lost' && failure !== 'held') transaction.end()
  }
}

async function findWrite(
  store: SimStore,
  convoId: string,
  entryId: string,
  { n, result }: SentWrite,
): Promise<LockedResult | undefined> {
  const { database } = store.options
  const [seen] = await store.step('locked.snapshot', 'reads', () => database.inspect([{ convoId, n }]))
  return seen!.entryId === entryId ? result : undefined
}

async function decideUnderLock(
  store: SimStore,
  command: Command,
  entryId: string,
): Promise<LockedResult | { unit: Unit; result: LockedResult }> {
  const { database, clock, policy } = store.options
  const { convoId } = command
  const state = await store.step(
    'locked.snapshot',
    'reads',
    () => database.load([convoId]).get(convoId) ?? null,
  )
  const facts: Facts = { keyPackages: [], formerMembers: [] }
  const keys = factKeys(state, command)
  for (const read of keys ? database.factReads([keys], [facts]) : []) {
    await store.step('locked.snapshot', 'reads', read)
  }
  const decision = decide(state, command, facts, { nowMs: clock.now(), entryId, policy })
  if (decision.outcome === 'repeated') return { reply: { ok: true, answer: decision.answer } }
  if (decision.outcome === 'refused') {
    const { refusal, winnerOf } = decision
    const [seen] = winnerOf === undefined ? [] : database.inspect([{ convoId, winnerOf }])
    return { reply: { ok: false, refusal: seen?.winner ? withWinner(refusal, seen.winner) : refusal } }
  }
  const unit = { convoId, expectedVersion: state?.version ?? 0, changes: [decision.change], final: decision.state }
  return { unit, result: { reply: { ok: true, answer: decision.answer }, change: decision.change } }
}
