import { type ConvoLog, describe } from './convo-log.ts'
import type { Exchange, StoredDatabase } from './history.ts'

type Report = (problem: string) => void

/** A token is used by one command that took effect, and by none that did not. */
export function checkTokens(
  history: Exchange[],
  logs: Map<string, ConvoLog>,
  database: StoredDatabase,
  report: Report,
): void {
  const stored = new Set(database.tokens)
  const bearers = Map.groupBy(history, ({ command }) => command.tokenUse?.hash)
  for (const hash of stored) {
    if (!bearers.get(hash)?.some(mayHaveTakenEffect)) report(`token ${hash} was used for nothing`)
  }
  for (const [hash, exchanges] of bearers) {
    if (hash !== undefined) checkBearers(hash, exchanges, stored.has(hash), report)
  }
  for (const { groups } of logs.values()) {
    for (const { owner, answered, convoId, rows } of groups) {
      // Of several that asked for the same, any may have written it.
      const writers = new Set([...answered, ...(owner ? [owner] : [])])
      const isNoted = ({ command }: Exchange) => !command.tokenUse || stored.has(command.tokenUse.hash)
      const isRepeated = owner?.command.idempotency ?? 'message' in (owner?.command ?? {})
      if (writers.size > 0 && !isRepeated && ![...writers].some(isNoted)) {
        report(`${convoId} n=${rows[0]!.n}: its token is not noted as used`)
      }
    }
  }
}

function checkBearers(hash: string, exchanges: Exchange[], isStored: boolean, report: Report): void {
  const accepted = exchanges.filter(({ reply }) => reply?.ok)
  const convoIds = new Set(accepted.map(({ command }) => command.convoId))
  if (convoIds.size > 1) report(`token ${hash}: took effect in ${[...convoIds].join(' and ')}`)
  for (const exchange of exchanges) {
    const { reply, repliedAt } = exchange
    if (!reply || reply.ok || reply.refusal.error !== 'ReplayedToken') continue
    const others = exchanges.filter((other) => other !== exchange && other.invokedAt <= repliedAt!)
    if (!isStored || !others.some(mayHaveTakenEffect)) {
      report(`${describe(exchange)}: its token had not been used`)
    }
  }
}

function mayHaveTakenEffect({ reply }: Exchange): boolean {
  return !reply || reply.ok || reply.refusal.error === 'OutcomeUnknown'
}
