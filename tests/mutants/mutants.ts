import { AUTH_MUTANTS } from './auth-mutants.ts'
import { DECISION_MUTANTS } from './decision-mutants.ts'
import { FRONT_MUTANTS } from './front-mutants.ts'
import { GROUP_COMMIT_MUTANTS } from './group-commit-mutants.ts'
import type { Mutant } from './mutant.ts'
import { OPERATIONS_MUTANTS } from './operations-mutants.ts'
import { SHARD_MUTANTS } from './shard-mutants.ts'
import { STORE_MUTANTS } from './store-mutants.ts'
import { STREAM_ACCESS_MUTANTS } from './stream-access-mutants.ts'
import { STREAM_MUTANTS } from './stream-mutants.ts'

/** Every fault that is planted: each is one that somebody could make, and that must not go unnoticed. */
export const MUTANTS: Mutant[] = [
  ...DECISION_MUTANTS,
  ...GROUP_COMMIT_MUTANTS,
  ...SHARD_MUTANTS,
  ...STORE_MUTANTS,
  ...FRONT_MUTANTS,
  ...AUTH_MUTANTS,
  ...OPERATIONS_MUTANTS,
  ...STREAM_MUTANTS,
  ...STREAM_ACCESS_MUTANTS,
]
