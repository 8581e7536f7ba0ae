import type { Killer } from './mutant.ts'

/** Many seeded histories of a simulated world: the killer of whatever shows only in the interplay. */
export const HISTORIES: Killer = { test: 'tests/engine/histories.test.ts', env: { HISTORIES: '300' } }

/** A test file, or those of its tests whose names match. */
export function test(path: string, filter?: string): Killer {
  return filter === undefined ? { test: path } : { test: path, filter }
}

/** The tests of one of the engine's invariants. */
export function invariant(name: string): Killer {
  return { test: 'tests/engine/invariants.test.ts', filter: `^${name} ` }
}
