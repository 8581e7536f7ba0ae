import { type Command, type KeyPackageName, type Reply, refused } from '@catbird/shared/commands'
import type { ErrorName } from '@catbird/shared/errors'
import { type Facts, findKeyPackage } from '../conversation/facts.ts'

/** A command that waits for its answer. */
export type Pending = {
  readonly command: Command
  /** The same on every try, so that the database tells whose write took effect. */
  readonly entryId: string
  readonly arrivedAtMs: number
  /** Decisions of this command that were overtaken. */
  lostGuards: number
  /** Answers the caller; only the first call counts. */
  readonly settle: (reply: Reply) => void
}

export function createPending(
  command: Command,
  entryId: string,
  arrivedAtMs: number,
  onSettled: (reply: Reply) => void,
): Pending {
  let isSettled = false
  const settle = (reply: Reply): void => {
    if (isSettled) return
    isSettled = true
    onSettled(reply)
  }
  return { command, entryId, arrivedAtMs, lostGuards: 0, settle }
}

export function settleRefused(pending: Pending, error: ErrorName, message: string): void {
  pending.settle(refused(error, message))
}

/** Names of things that two commands of one shard must not stage at once, whatever their conversations. */
export function claimsOf({ command }: Pending, facts?: Facts): string[] {
  const claims: string[] = []
  const { idempotency, tokenUse, caller, type } = command
  if (tokenUse) claims.push(`token ${tokenUse.hash}`)
  if (idempotency) claims.push(`record ${caller} ${type} ${idempotency.key}`)
  if (command.type === 'sendMessage' && command.message) {
    claims.push(`message ${command.convoId} ${command.message.id}`)
  }
  if ('keyPackages' in command) {
    // Two commands may call one package by its hash and by its reference: the facts tell.
    for (const name of command.keyPackages) {
      claims.push(packageClaim(name))
      const found = facts && findKeyPackage(facts, name)
      if (found) claims.push(packageClaim(found))
    }
  }
  return claims
}

export function packageClaim({ did, hash }: KeyPackageName): string {
  return `package ${did} ${hash}`
}
