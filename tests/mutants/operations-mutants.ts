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
  {
    name: 'an operator passivates an actor that has work in hand',
    file: 'packages/shard-worker/src/engine/actor-registry.ts',
    find: "if (!actor.isIdle) return 'leaving'\n",
    replace: '',
    killer: test('packages/shard-worker/src/engine/actor-registry.test.ts'),
  },
  {
    name: 'the console answers any site that its operator visits',
    file: 'packages/api/src/ops/gate.ts',
    find: 'if (c.req.header(CONSOLE_HEADER) === undefined) return forbidden(c)\n',
    replace: '',
    killer: test('tests/integration/ops-access.test.ts'),
  },
  {
    name: 'wrong tokens of the console can be tried without end',
    file: 'packages/api/src/ops/gate.ts',
    find: 'await this.#failures.count(address)\n',
    replace: '',
    killer: test('tests/integration/ops-access.test.ts'),
  },
]
