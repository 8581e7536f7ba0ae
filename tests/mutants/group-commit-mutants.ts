import { HISTORIES, invariant, test } from './killers.ts'
import type { Mutant } from './mutant.ts'

const ENGINE = 'packages/shard-worker/src/engine'

const BATCH = test(`${ENGINE}/batch.test.ts`)
const COMMIT_LANES = test(`${ENGINE}/commit-lanes.test.ts`)
const GROUP_COMMIT = test(`${ENGINE}/group-commit.test.ts`)

/** What happens to a decision until it is durable. */
export const GROUP_COMMIT_MUTANTS: Mutant[] = [
  {
    name: 'a command is answered before COMMIT',
    file: `${ENGINE}/group-commit.ts`,
    find: 'actor.state = decision.state',
    replace: 'actor.state = decision.state; pending.settle({ ok: true, answer: decision.answer })',
    killer: invariant('G1'),
  },
  {
    name: 'a conversation has two writes in flight',
    file: `${ENGINE}/group-commit.ts`,
    find: 'if (this.#inFlight || this.#open.units.size === 0) return',
    replace: 'if (this.#open.units.size === 0) return',
    killer: invariant('G2'),
  },
  {
    name: 'a conversation changes lanes while its write is in flight',
    file: `${ENGINE}/commit-lanes.ts`,
    find: 'actor.unsettledUnits > 0 ? actor.lane : this.#freest()',
    replace: 'this.#freest()',
    killer: COMMIT_LANES,
  },
  {
    name: 'what another lane has claimed is free',
    file: `${ENGINE}/commit-lanes.ts`,
    find: 'this.#lanes.some((lane) => lane.isClaimed(pending, facts))',
    replace: 'this.#lanes[0]!.isClaimed(pending, facts)',
    killer: COMMIT_LANES,
  },
  {
    name: 'all conversations share one lane',
    file: `${ENGINE}/commit-lanes.ts`,
    find: 'loads.indexOf(Math.min(...loads))',
    replace: '0',
    killer: COMMIT_LANES,
  },
  {
    name: 'staged state stays after a lost guard',
    file: `${ENGINE}/group-commit.ts`,
    find: 'actor.state = undefined\n      this.#options.onLost(actor, pendings, reason)',
    replace:
      'this.#options.onLost(actor, pendings, reason)\n      actor.state = units.find((unit) => unit.actor === actor)!.final',
    killer: invariant('G3'),
  },
  {
    name: 'what was staged on a lost unit is written',
    file: `${ENGINE}/group-commit.ts`,
    find: '...waiting.map(({ pending }) => pending), ...this.#open.remove(convoId)]',
    replace: '...waiting.map(({ pending }) => pending)]',
    killer: HISTORIES,
  },
  {
    name: 'a lost unit goes behind what was staged on it',
    file: `${ENGINE}/group-commit.ts`,
    find: '...waiting.map(({ pending }) => pending), ...this.#open.remove(convoId)]',
    replace: '...this.#open.remove(convoId), ...waiting.map(({ pending }) => pending)]',
    killer: GROUP_COMMIT,
  },
  {
    name: 'a refusal that came after its unit was sent is not confirmed',
    file: `${ENGINE}/group-commit.ts`,
    find: 'isLate: !open })',
    replace: 'isLate: false })',
    killer: invariant('G6'),
  },
  {
    name: 'a key package by hash and by reference counts as two',
    file: `${ENGINE}/pending.ts`,
    find: 'if (found) claims.push(packageClaim(found))',
    replace: '',
    killer: BATCH,
  },
  {
    name: 'claims of an emptied batch stay',
    file: `${ENGINE}/batch.ts`,
    find: 'if (this.units.size === 0) this.#clear()',
    replace: '',
    killer: BATCH,
  },
  {
    name: 'a batch has no bound on bytes',
    file: `${ENGINE}/batch.ts`,
    find: ' || this.#bytes >= this.#limits.maxBytes',
    replace: '',
    killer: BATCH,
  },
  {
    name: 'a batch has no bound on rows',
    file: `${ENGINE}/batch.ts`,
    find: 'this.#rows >= this.#limits.maxRows || ',
    replace: '',
    killer: BATCH,
  },
  {
    name: "a unit keeps its first command's state",
    file: `${ENGINE}/batch.ts`,
    find: '    unit.final = decision.state\n',
    replace: '',
    killer: HISTORIES,
  },
  {
    name: 'a lost connection counts as not written',
    file: `${ENGINE}/group-commit.ts`,
    find: 'this.#doubt(units, batch)',
    replace: "this.#lose(units, NOTHING, 'outcome_unknown')",
    killer: HISTORIES,
  },
  {
    name: 'a lost connection counts as written',
    file: `${ENGINE}/group-commit.ts`,
    find: 'this.#doubt(units, batch)',
    replace: 'return this.#release(units, new Set(units.map(({ convoId }) => convoId)))',
    killer: HISTORIES,
  },
  {
    name: 'a lost connection counts as never reached',
    file: `${ENGINE}/group-commit.ts`,
    find: 'this.#doubt(units, batch)',
    replace: "for (const unit of units) this.#fail(unit, 'batch_failed', 'DatabaseUnavailable', 'unknown')",
    killer: HISTORIES,
  },
  {
    name: "another's write counts as one's own",
    file: `${ENGINE}/group-commit.ts`,
    find: 'if (entryId === unit.changes[0]!.entryId) written.add(unit.convoId)',
    replace: 'if (entryId) written.add(unit.convoId)',
    killer: HISTORIES,
  },
  {
    name: 'a doubt that lasts ends as a definite refusal',
    file: `${ENGINE}/group-commit.ts`,
    find: "        'OutcomeUnknown',\n",
    replace: "        'DatabaseUnavailable',\n",
    killer: invariant('G7'),
  },
  {
    name: 'not written yet counts as never written',
    file: `${ENGINE}/group-commit.ts`,
    find: 'else if (version === unit.expectedVersion) undecided.push(unit)',
    replace: '',
    killer: HISTORIES,
  },
  {
    name: 'a conversation in doubt takes commands',
    file: `${ENGINE}/group-commit.ts`,
    find: '      actor.isBlocked = true\n',
    replace: '',
    killer: HISTORIES,
  },
  {
    name: 'half of a batch with a faulty row is forgotten',
    file: `${ENGINE}/group-commit.ts`,
    find: 'await this.#write(units.slice(middle), batch)',
    replace: '',
    killer: HISTORIES,
  },
  {
    name: 'a batch that was rolled back counts as written',
    file: `${ENGINE}/group-commit.ts`,
    find: "await this.#pause(1)\n        this.#lose(units, NOTHING, 'batch_failed')",
    replace: 'this.#release(units, new Set(units.map(({ convoId }) => convoId)))',
    killer: HISTORIES,
  },
  {
    name: 'a faulty row fails the whole batch',
    file: `${ENGINE}/group-commit.ts`,
    find: 'return this.#bisect(units, batch)',
    replace:
      "for (const unit of units) this.#fail(unit, 'batch_failed', 'InternalServerError', 'data'); return",
    killer: invariant('G4'),
  },
  {
    name: 'refusals do not name the commit that won',
    file: `${ENGINE}/group-commit.ts`,
    find: " || ('refusal' in outcome && outcome.winnerOf !== undefined)",
    replace: '',
    killer: GROUP_COMMIT,
  },
]
