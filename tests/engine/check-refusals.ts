import type { ErrorName, Refusal } from '@catbird/shared/errors'
import { describe, type RowGroup } from './convo-log.ts'
import type { Exchange } from './history.ts'
import { keyOf } from './match-rows.ts'
import {
  isStrangeWelcome,
  judge,
  type ModelOptions,
  type ModelState,
  type Surroundings,
} from './reference-model.ts'
import { packagesOf, type ReplayedWorld } from './replay-logs.ts'

type Report = (problem: string) => void
type Options = ModelOptions & { mustNameWinners?: boolean }

/** Refusals that say something about the server or the request, not about the conversation. */
const OF_THE_SERVER: ErrorName[] = [
  'Overloaded',
  'ShuttingDown',
  'DatabaseUnavailable',
  'InternalServerError',
  'RateLimitExceeded',
  'OutcomeUnknown',
  // Judged by check-tokens.ts.
  'ReplayedToken',
]

/** Every refusal must have been true at some moment between its request and its reply. */
export function checkRefusals(
  history: Exchange[],
  world: ReplayedWorld,
  options: Options,
  report: Report,
): void {
  for (const exchange of history) {
    const { reply } = exchange
    if (!reply || reply.ok || OF_THE_SERVER.includes(reply.refusal.error)) continue
    const groups = world.logs.get(exchange.command.convoId)?.groups ?? []
    // A log that the model cannot follow has been reported already.
    if (groups.some(({ after }) => !after)) continue
    if (!isJustified(exchange, groups, world, options)) {
      report(`${describe(exchange)}: was never true; ${JSON.stringify(reply.refusal.details ?? {})}`)
    }
    checkWinner(exchange, groups, options, report)
  }
}

function isJustified(
  exchange: Exchange,
  groups: RowGroup[],
  world: ReplayedWorld,
  options: Options,
): boolean {
  const { command, reply, invokedAt, repliedAt } = exchange
  for (let i = -1; i < groups.length; i++) {
    const earliest = groups[i]?.earliest ?? Number.NEGATIVE_INFINITY
    const latest = groups[i + 1]?.latest ?? Number.POSITIVE_INFINITY
    if (earliest > repliedAt! || latest < invokedAt) continue
    const state = groups[i]?.after
    for (const around of surroundings(exchange, i, world)) {
      const verdict = judge(state, command, around, options)
      const { refusal } = reply as { refusal: Refusal }
      if (verdict.is !== 'refused' || !verdict.errors.includes(refusal.error)) continue
      if (hasTrueEpochs(refusal, exchange, state)) return true
    }
  }
  return false
}

/**
 * What may have surrounded the command while its conversation had the groups up to `index`. What other
 * conversations did to keys and packages counts as before or after wherever that is possible within the window.
 */
function surroundings(exchange: Exchange, index: number, world: ReplayedWorld): Surroundings[] {
  const { command, repliedAt } = exchange
  const packages = packagesOf(world, command)
  const present = packages.filter((row) => row !== undefined)
  const isUsedUp = present.some((row) =>
    world.uses
      .get(row)
      ?.some(({ convoId, earliest }) => convoId !== command.convoId && earliest <= repliedAt!),
  )
  const base = {
    lacksKeyPackage: isUsedUp || present.length < packages.length,
    hasStrangeWelcome: isStrangeWelcome(command, present),
    message: messageBefore(exchange, index, world),
  }
  return recordsBefore(exchange, index, world).map((record) => ({ ...base, record }))
}

function messageBefore({ command }: Exchange, index: number, world: ReplayedWorld): Surroundings['message'] {
  if (command.type !== 'sendMessage' || !command.message) return undefined
  const taken = world.messages.get(`${command.convoId} ${command.message.id}`)
  if (!taken || taken.index > index) return undefined
  const first = taken.owner!.command
  const isSame =
    first.type === 'sendMessage' &&
    first.caller === command.caller &&
    first.message?.contentHash === command.message.contentHash
  return isSame ? 'same' : 'other'
}

function recordsBefore(exchange: Exchange, index: number, world: ReplayedWorld): Surroundings['record'][] {
  const { command, invokedAt, repliedAt } = exchange
  const { idempotency, caller, type } = command
  const group = idempotency && world.records.get(keyOf({ caller, method: type, key: idempotency.key }))
  if (!group) return [undefined]
  const isSame = group.owner!.command.idempotency!.contentHash === idempotency.contentHash
  const found = isSame ? 'same' : 'other'
  if (group.convoId === command.convoId) return [group.index <= index ? found : undefined]
  const possible: Surroundings['record'][] = []
  if (group.earliest <= repliedAt!) possible.push(found)
  if (group.latest >= invokedAt) possible.push(undefined)
  return possible
}

function hasTrueEpochs(refusal: Refusal, { command }: Exchange, state: ModelState | undefined): boolean {
  if (refusal.error !== 'EpochMismatch') return true
  const { serverEpoch, expectedEpoch } = refusal.details ?? {}
  return serverEpoch === state?.epoch && expectedEpoch === builtOn(command)
}

function builtOn(command: Exchange['command']): number | undefined {
  if (command.type === 'sendMessage') return command.epoch
  return 'commit' in command ? command.commit?.epoch : undefined
}

/** A refused commit learns which commit won its epoch. */
function checkWinner(
  exchange: Exchange,
  groups: RowGroup[],
  { mustNameWinners }: Options,
  report: Report,
): void {
  const { command, reply } = exchange
  const { refusal } = reply as { refusal: Refusal }
  if (refusal.error !== 'EpochMismatch' || command.type === 'sendMessage') return
  const named = refusal.details?.winningCommit as { seq: number; epoch: number } | undefined
  const winner = groups.find(({ entry }) => {
    return entry?.kind === 'commit' && entry.bytes && entry.epoch === builtOn(command)! + 1
  })?.entry
  if (named && (named.seq !== winner?.seq || named.epoch !== winner.epoch)) {
    report(`${describe(exchange)}: names commit ${named.seq} as the winner, the log has ${winner?.seq}`)
  }
  const isDue = winner && winner.epoch <= Number(refusal.details?.serverEpoch)
  if (mustNameWinners && isDue && !named) report(`${describe(exchange)}: does not name the winning commit`)
}
