import type { Answer, Command, CreateConvoCommand } from '@catbird/shared/commands'
import { type ConvoLog, describe, type RowGroup } from './convo-log.ts'
import type { Exchange, StoredRecord, StoredRow } from './history.ts'

type Report = (problem: string) => void

/** Finds the rows of every accepted command, and for every command's rows the request that asked for them. */
export function matchRows(
  history: Exchange[],
  logs: Map<string, ConvoLog>,
  records: StoredRecord[],
  report: Report,
): void {
  // In order of their replies: then the first rows that fit leave enough for the others.
  const accepted = history.filter(({ reply }) => reply?.ok).sort((a, b) => a.repliedAt! - b.repliedAt!)
  for (const exchange of accepted) findAnswered(exchange, logs, report)
  const recorded = new Map(records.map((record) => [keyOf(record), record.contentHash]))
  const unknown = history.filter(
    ({ reply }) => !reply || (!reply.ok && reply.refusal.error === 'OutcomeUnknown'),
  )
  const owners = new Map<string | Exchange, RowGroup>()
  for (const { groups } of logs.values()) {
    const active = new Set<string>()
    for (const group of groups) {
      const isOpen = (exchange: Exchange) => {
        return !owners.has(exchange) && mayHaveWritten(group, exchange.command, active)
      }
      group.owner = findOwner(group, unknown.filter(isOpen), recorded, report)
      if (group.owner) claim(group, group.owner, owners, report)
      for (const { removed = [], added = [] } of group.rows) {
        for (const did of removed) active.delete(did)
        for (const did of added) active.add(did)
      }
    }
  }
}

/** For commands that were not answered: without bytes, only the members whom they move tell them apart. */
function mayHaveWritten(group: RowGroup, command: Command, active: Set<string>): boolean {
  if (command.convoId !== group.convoId || !fits(group, command)) return false
  const { entry, rows } = group
  if (command.type === 'createConvo') return mayHaveCreated(rows, command)
  if (!entry || entry.bytes) return true
  if (command.type === 'leaveConvo') return String(entry.removed) === command.target
  const newcomers = 'dids' in command ? command.dids.filter((did) => !active.has(did)) : []
  return String(entry.added) === String([...new Set(newcomers)])
}

function mayHaveCreated(rows: StoredRow[], command: CreateConvoCommand): boolean {
  const { caller, initialMembers, epoch, welcome } = command
  const others = [...new Set(initialMembers)].filter((did) => did !== caller)
  const joined = rows.find(({ kind }) => kind === 'joined')?.added ?? []
  const implied = welcome && others.length > 0 ? 1 : 0
  return rows[0]!.epoch === (epoch ?? implied) && String(joined) === String(others)
}

function findAnswered(exchange: Exchange, logs: Map<string, ConvoLog>, report: Report): void {
  const { command, reply } = exchange
  const log = logs.get(command.convoId)
  const answer = reply?.ok ? reply.answer : {}
  const group = log && candidate(log, exchange, answer)
  if (!group || !fits(group, command)) report(`${describe(exchange)}: its rows are not in the log`)
  else group.answered.push(exchange)
}

function candidate(log: ConvoLog, exchange: Exchange, answer: Answer): RowGroup | undefined {
  const { command, invokedAt, repliedAt } = exchange
  if (command.type === 'createConvo') return log.groups[0]
  if (command.type !== 'leaveConvo' || command.target !== command.caller) {
    return log.bySeq.get(Number(answer.seq))
  }
  // A departure has no seq, and the same member may leave twice in epochs of one number.
  const found = log.groups.filter((group) => fits(group, command) && group.rows[0]!.epoch === answer.newEpoch)
  const isWithin = ({ rows }: RowGroup) => {
    const { committedAt = invokedAt } = rows[0]!
    return committedAt >= invokedAt && committedAt <= repliedAt!
  }
  return (
    found.find(({ answered }) => answered.some((other) => isRepeat(other, exchange))) ??
    found.find((group) => isWithin(group) && group.answered.length === 0) ??
    found.find(isWithin) ??
    found[0]
  )
}

/** Whether the rows have the command's content; what else they must say is the model's matter. */
function fits({ rows, entry }: RowGroup, command: Command): boolean {
  const first = rows[0]!
  if (first.sender !== command.caller) return false
  switch (command.type) {
    case 'createConvo':
      return first.kind === 'created'
    case 'sendMessage':
      return (
        entry?.kind === 'app' &&
        isSame(entry.bytes, command.bytes) &&
        entry.epoch === command.epoch &&
        (command.message === undefined || command.message.id === entry.messageId)
      )
    case 'leaveConvo':
      if (command.target === command.caller) return first.kind === 'left' && !command.commit
      return entry?.kind === 'commit' && isSame(entry.bytes, command.commit?.bytes) && !entry.added?.length
    case 'addMembers':
      return entry?.kind === 'commit' && isSame(entry.bytes, command.commit?.bytes) && !entry.removed?.length
  }
}

function isSame(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a && b ? Buffer.compare(a, b) === 0 : a === b
}

function findOwner(
  group: RowGroup,
  open: Exchange[],
  recorded: Map<string, string>,
  report: Report,
): Exchange | undefined {
  const { answered, rows } = group
  const first = rows[0]!
  const isOwner = (exchange: Exchange) => {
    const { command, invokedAt } = exchange
    const { idempotency } = command
    const isRecorded =
      !idempotency ||
      recorded.get(keyOf({ ...idempotency, caller: command.caller, method: command.type })) ===
        idempotency.contentHash
    return invokedAt <= (first.committedAt ?? Number.POSITIVE_INFINITY) && isRecorded
  }
  const related = answered.length === 0 ? open : open.filter((a) => answered.some((b) => isRepeat(a, b)))
  // A recorded key is sure to belong to somebody; otherwise the first who asked.
  const keyless = ({ command }: Exchange) => Number(!command.idempotency)
  const owner = [...answered, ...related]
    .filter(isOwner)
    .sort((a, b) => keyless(a) - keyless(b) || a.invokedAt - b.invokedAt)[0]
  if (!owner) {
    report(
      `${group.convoId} n=${first.n}: nobody whose request was before it asked for ${first.kind} by ${first.sender}`,
    )
  }
  for (const exchange of answered) {
    if (owner && exchange !== owner && !isRepeat(exchange, owner)) {
      report(`${describe(exchange)}: answered with the rows of another command, ${describe(owner)}`)
    }
  }
  return owner
}

function isRepeat(a: Exchange, b: Exchange): boolean {
  const intents = intentsOf(b.command)
  return intentsOf(a.command).some((intent) => intents.includes(intent))
}

function claim(
  group: RowGroup,
  owner: Exchange,
  owners: Map<string | Exchange, RowGroup>,
  report: Report,
): void {
  for (const intent of [owner, ...intentsOf(owner.command)]) {
    if (owners.has(intent)) report(`${describe(owner)}: took effect twice`)
    owners.set(intent, group)
  }
}

/** What makes two commands one: the idempotency key or the message id, each with its content, else the token. */
function intentsOf({ idempotency, tokenUse, caller, type, ...command }: Command): string[] {
  const intents: string[] = []
  if (idempotency)
    intents.push(`${keyOf({ ...idempotency, caller, method: type })} ${idempotency.contentHash}`)
  if ('message' in command && command.message) {
    const { id, contentHash } = command.message
    intents.push(`message ${command.convoId} ${caller} ${id} ${contentHash}`)
  }
  if (tokenUse && intents.length === 0) intents.push(`token ${tokenUse.hash}`)
  return intents
}

export function keyOf({ caller, method, key }: { caller: string; method: string; key: string }): string {
  return `${caller} ${method} ${key}`
}
