import type { Command } from '@catbird/shared/commands'
import type { QueryTimer } from '@catbird/shared/query-timer'
import { type Store, StoreError } from './store.ts'

export type StoreMeters = {
  timer: QueryTimer
  /** The log's unique indexes refused a row that the guards had let through. */
  onDuplicate(): void
  /** A command that can never be stored: a fault, since everything has been looked at before. */
  onFault(command: Command, error: unknown): void
}

const UNIQUE_VIOLATION = '23505'

/** The same store, and somebody who watches it. */
export function measured(store: Store, { timer, onDuplicate, onFault }: StoreMeters): Store {
  const watch = async <T>(query: string, run: () => Promise<T>): Promise<T> => {
    try {
      return await timer.time(query, run)
    } catch (error) {
      if (isDuplicate(error)) onDuplicate()
      throw error
    }
  }
  return {
    load: (convoIds) => watch('load_conversations', () => store.load(convoIds)),
    facts: (keys) => watch('load_facts', () => store.facts(keys)),
    inspect: (keys) => watch('inspect', () => store.inspect(keys)),
    write: (units) => watch('write_batch', () => store.write(units)),
    async executeLocked(command, entryId) {
      try {
        return await watch('locked_command', () => store.executeLocked(command, entryId))
      } catch (error) {
        if (error instanceof StoreError && error.failure === 'data') onFault(command, error.cause)
        throw error
      }
    },
  }
}

/** In any other table two who come at once may well meet at an index. */
function isDuplicate(error: unknown): boolean {
  if (!(error instanceof StoreError)) return false
  const { code, table_name: table } = (error.cause ?? {}) as { code?: string; table_name?: string }
  return code === UNIQUE_VIOLATION && table === 'log'
}
