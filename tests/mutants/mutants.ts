import { DECISION_MUTANTS } from './decision-mutants.ts'
import { ENGINE_MUTANTS } from './engine-mutants.ts'
import { FRONT_MUTANTS } from './front-mutants.ts'
import type { Mutant } from './mutant.ts'
import { STORE_MUTANTS } from './store-mutants.ts'

/** Every fault that is planted: each is one that somebody could make, and that must not go unnoticed. */
export const MUTANTS: Mutant[] = [...DECISION_MUTANTS, ...ENGINE_MUTANTS, ...STORE_MUTANTS, ...FRONT_MUTANTS]
