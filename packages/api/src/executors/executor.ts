import type { Command, Reply } from '@catbird/shared/commands'

/** Runs commands; never rejects: what goes wrong is a refusal by name. */
export type Executor = { execute(command: Command): Promise<Reply> }
