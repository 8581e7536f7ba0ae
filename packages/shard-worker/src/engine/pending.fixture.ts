import type { Command } from '@catbird/shared/commands'
import { send } from '../conversation/story.fixture.ts'
import type { Pending } from './pending.ts'

/** A command that nobody waits for. */
export function pendingOf(convoId: string, more: Partial<Command> = {}): Pending {
  const command = { ...send('alice', 0), ...more, convoId } as Command
  return { command, entryId: 'entry', arrivedAtMs: 0, lostGuards: 0, settle: () => {} }
}
