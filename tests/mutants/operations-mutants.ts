import { test } from './killers.ts'
import type { Mutant } from './mutant.ts'

/** What operators are told. */
export const OPERATIONS_MUTANTS: Mutant[] = [
  {
    name: 'a row that the log has already is not counted',
    file: 'packages/shard-worker/src/store/measured-store.ts',
    find: 'if (isDuplicate(error)) onDuplicate()',
    replace: '',
    killer: test('tests/integration/metrics-database.test.ts', 'log has already'),
  },
  {
    name: 'calls of the front are not counted',
    file: 'packages/shared/src/renewable-pool.ts',
    find: 'this.#calls++',
    replace: '',
    killer: test('tests/integration/metrics-database.test.ts', 'connections are in use'),
  },
  {
    name: 'the audit reads everything again each time',
    file: 'packages/api/src/jobs/audit-job.ts',
    find: 'this.#auditedUntilMs = startedMs',
    replace: '',
    killer: test('packages/api/src/jobs/audit-job.test.ts'),
  },
  {
    name: 'an audit that failed counts as done',
    file: 'packages/api/src/jobs/audit-job.ts',
    find: 'const sql = open()',
    replace: 'this.#auditedUntilMs = startedMs\n    const sql = open()',
    killer: test('packages/api/src/jobs/audit-job.test.ts'),
  },
  {
    name: 'a command is not logged under the id of its request',
    file: 'packages/shared/src/command-telemetry.ts',
    find: "this.#log.debug('Command done', { requestId,",
    replace: "this.#log.debug('Command done', {",
    killer: test('tests/integration/logs.test.ts', 'followed'),
  },
]
