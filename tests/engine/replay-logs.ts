import type { Command } from '@catbird/shared/commands'
import { type ConvoLog, describe, type RowGroup } from './convo-log.ts'
import type { StoredDatabase, StoredKeyPackage, StoredRow } from './history.ts'
import { keyOf } from './match-rows.ts'
import {
  isStrangeWelcome,
  judge,
  type ModelOptions,
  type ModelState,
  namedPackages,
  type Surroundings,
} from './reference-model.ts'

type Report = (problem: string) => void

/** What the accepted commands left behind, by the log alone. */
export type ReplayedWorld = {
  logs: Map<string, ConvoLog>
  keyPackages: Map<string, StoredKeyPackage>
  /** Who recorded an idempotency key, took a message id of a conversation, used a key package. */
  records: Map<string, RowGroup>
  messages: Map<string, RowGroup>
  uses: Map<StoredKeyPackage, RowGroup[]>
}

/** Runs the accepted commands through the reference model in the order of the log. */
export function replayLogs(
  logs: Map<string, ConvoLog>,
  { keyPackages }: StoredDatabase,
  options: ModelOptions,
  report: Report,
): ReplayedWorld {
  const world: ReplayedWorld = {
    logs,
    keyPackages: new Map(
      keyPackages.flatMap((row) => [
        [`${row.did} ${row.hash}`, row],
        [`${row.did} ${row.ref}`, row],
      ]),
    ),
    records: new Map(),
    messages: new Map(),
    uses: new Map(),
  }
  for (const log of logs.values()) {
    for (const group of log.groups) {
      if (!group.owner || !replayGroup(world, log, group, options, report)) break
    }
  }
  checkUses(world, report)
  return world
}

function replayGroup(
  world: ReplayedWorld,
  log: ConvoLog,
  group: RowGroup,
  options: ModelOptions,
  report: Report,
): boolean {
  const { command } = group.owner!
  const before = log.groups[group.index - 1]?.after
  const packages = packagesOf(world, command)
  const around: Surroundings = {
    lacksKeyPackage: packages.includes(undefined),
    hasStrangeWelcome: isStrangeWelcome(
      command,
      packages.filter((row) => row !== undefined),
    ),
  }
  const verdict = judge(before, command, around, options)
  if (verdict.is !== 'accepted') {
    const why = verdict.is === 'refused' ? verdict.errors.join(', ') : verdict.is
    report(`${describe(group.owner!)}: took effect where the contract says ${why}`)
    return false
  }
  group.after = { ...verdict.next, version: group.rows.at(-1)!.n }
  const expected = { ...verdict, commandRow: group.entry ?? group.rows[0]! }
  compare(group, expected, report)
  remember(world, group, packages, report)
  return true
}

export function packagesOf(world: ReplayedWorld, command: Command): (StoredKeyPackage | undefined)[] {
  return namedPackages(command).map(({ did, hash }) => world.keyPackages.get(`${did} ${hash}`))
}

function compare(
  group: RowGroup,
  expected: { next: ModelState; added: string[]; removed: string[]; entry?: string; commandRow: StoredRow },
  report: Report,
): void {
  const { next, commandRow: row } = expected
  const wrong = (what: string) => report(`${group.convoId} n=${row.n}: ${what}, by ${describe(group.owner!)}`)
  if (expected.entry !== group.entry?.kind) wrong(`entry ${group.entry?.kind} instead of ${expected.entry}`)
  if (row.kind !== 'app' && row.epoch !== next.epoch) wrong(`epoch ${row.epoch} instead of ${next.epoch}`)
  if (group.entry && group.entry.seq !== next.seq) wrong(`seq ${group.entry.seq} instead of ${next.seq}`)
  const listed = group.rows.filter(({ kind }) => kind !== 'welcome' && kind !== 'created')
  const added = listed.flatMap((other) => other.added ?? [])
  const removed = listed.flatMap((other) => other.removed ?? [])
  if (String(added) !== String(expected.added)) wrong(`adds ${added} instead of ${expected.added}`)
  if (String(removed) !== String(expected.removed)) wrong(`removes ${removed} instead of ${expected.removed}`)
}

function remember(
  world: ReplayedWorld,
  group: RowGroup,
  packages: (StoredKeyPackage | undefined)[],
  report: Report,
): void {
  const { command } = group.owner!
  const { caller, type, convoId, idempotency } = command
  const take = (places: Map<string, RowGroup>, key: string) => {
    if (places.has(key)) report(`${describe(group.owner!)}: took effect although "${key}" was taken`)
    places.set(key, group)
  }
  if (idempotency) take(world.records, keyOf({ caller, method: type, key: idempotency.key }))
  if (command.type === 'sendMessage' && command.message)
    take(world.messages, `${convoId} ${command.message.id}`)
  for (const row of packages) {
    if (row && !row.lastResort) world.uses.set(row, [...(world.uses.get(row) ?? []), group])
  }
}

/** A key package is for one conversation, unless it is a last-resort one. */
function checkUses({ uses }: ReplayedWorld, report: Report): void {
  for (const [row, groups] of uses) {
    const convoIds = [...new Set(groups.map(({ convoId }) => convoId))]
    if (convoIds.length > 1) report(`key package ${row.did} ${row.hash}: used by ${convoIds.join(' and ')}`)
    if (row.consumedBy !== convoIds[0]) {
      report(`key package ${row.did} ${row.hash}: consumed by ${row.consumedBy}, used by ${convoIds[0]}`)
    }
  }
}
