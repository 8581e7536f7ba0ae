import { HISTORIES, invariant, test } from './killers.ts'
import type { Mutant } from './mutant.ts'

const ENGINE = 'packages/shard-worker/src/engine'

const REGISTRY = test(`${ENGINE}/actor-registry.test.ts`)
const ACTOR = test(`${ENGINE}/actor.test.ts`)

/** Which command runs when, and when a refusal leaves. */
export const SHARD_MUTANTS: Mutant[] = [
  {
    name: 'commands that are put back go behind those that wait',
    file: `${ENGINE}/actor.ts`,
    find: '[...pendings, ...(this.#mailbox ?? [])]',
    replace: '[...(this.#mailbox ?? []), ...pendings]',
    killer: ACTOR,
  },
  {
    name: 'a refusal leaves unconfirmed',
    file: `${ENGINE}/shard.ts`,
    find: 'else this.#confirmer.add({ actor, pending, refused: decision, version: state?.version ?? 0 })',
    replace: 'else pending.settle({ ok: false, refusal: decision.refusal })',
    killer: HISTORIES,
  },
  {
    name: 'a refusal is confirmed by any version',
    file: `${ENGINE}/refusal-confirmer.ts`,
    find: 'if (version !== entry.version) this.#onStale(entry)',
    replace: 'if (version < entry.version) this.#onStale(entry)',
    killer: HISTORIES,
  },
  {
    name: 'a refusal on staged state leaves at once',
    file: `${ENGINE}/shard.ts`,
    find: 'this.#commit.attachRefusal(actor, pending, decision)',
    replace: 'pending.settle({ ok: false, refusal: decision.refusal })',
    killer: HISTORIES,
  },
  {
    name: 'a refusal on staged state is confirmed by a read alone',
    file: `${ENGINE}/shard.ts`,
    find: 'if (actor.unsettledUnits > 0) this.#commit.attachRefusal(actor, pending, decision)\n        else',
    replace: '',
    killer: HISTORIES,
  },
  {
    name: 'claims are ignored',
    file: `${ENGINE}/shard.ts`,
    find: 'this.#commit.isFullFor(actor) || this.#commit.isClaimed(pending, facts)',
    replace: 'this.#commit.isFullFor(actor)',
    killer: HISTORIES,
  },
  {
    name: 'facts from before a claim was given up are used',
    file: `${ENGINE}/shard.ts`,
    find: "return wasClaimed ? 'reread' : undefined",
    replace: 'return undefined',
    killer: invariant('G14'),
  },
  {
    name: 'a command has another entry id on each try',
    file: `${ENGINE}/shard.ts`,
    find: 'entryId: pending.entryId, policy }',
    replace: 'entryId: this.#options.newId(), policy }',
    killer: invariant('G7'),
  },
  {
    name: 'the deadline is ignored',
    file: `${ENGINE}/shard.ts`,
    find: 'pending.command.deadlineMs <= this.#options.clock.now()',
    replace: 'pending.command.deadlineMs <= 0',
    killer: invariant('G9'),
  },
  {
    name: 'a mailbox has no bound on commands',
    file: `${ENGINE}/shard.ts`,
    find: 'actor.depth >= limits.mailboxCommands || ',
    replace: '',
    killer: invariant('G9'),
  },
  {
    name: 'a mailbox has no bound on bytes',
    file: `${ENGINE}/shard.ts`,
    find: ' || actor.mailboxBytes >= limits.mailboxBytes',
    replace: '',
    killer: invariant('G9'),
  },
  {
    name: 'an actor with staged state is passivated',
    file: `${ENGINE}/actor.ts`,
    find: 'this.#mailbox === undefined && this.unsettledUnits === 0 && ',
    replace: 'this.#mailbox === undefined && ',
    killer: REGISTRY,
  },
  {
    name: 'a busy actor is evicted',
    file: `${ENGINE}/actor-registry.ts`,
    find: "if (actor.isIdle) this.stop(actor, 'evicted')",
    replace: "this.stop(actor, 'evicted')",
    killer: REGISTRY,
  },
  {
    name: 'a busy actor is passivated',
    file: `${ENGINE}/actor-registry.ts`,
    find: "if (actor.isIdle) this.stop(actor, 'idle')",
    replace: "this.stop(actor, 'idle')",
    killer: REGISTRY,
  },
  {
    name: 'the oldest actor is evicted instead of the least recently used',
    file: `${ENGINE}/actor-registry.ts`,
    find: '    this.#actors.delete(convoId)\n',
    replace: '',
    killer: REGISTRY,
  },
  {
    name: 'every command starts an actor',
    file: `${ENGINE}/actor-registry.ts`,
    find: 'this.#actors.get(convoId) ?? new Actor(convoId, nowMs)',
    replace: 'new Actor(convoId, nowMs)',
    killer: REGISTRY,
  },
  {
    name: 'a hot conversation may take the whole tick',
    file: `${ENGINE}/shard.ts`,
    find: 'beginTurn(actor, TURN_COMMANDS,',
    replace: 'beginTurn(actor, Number.POSITIVE_INFINITY,',
    killer: invariant('G9'),
  },
  {
    name: 'lost guards never lead to the lock',
    file: `${ENGINE}/shard.ts`,
    find: 'for (const pending of pendings) pending.lostGuards++',
    replace: '',
    killer: invariant('G13'),
  },
  {
    name: 'stopping forgets the commands that wait',
    file: `${ENGINE}/shard.ts`,
    find: "this.#drop(pending, 'shutdown', 'ShuttingDown', 'the server shut down before this command ran')",
    replace: 'void pending',
    killer: invariant('G5'),
  },
  {
    name: 'stopping does not wait for what is in hand',
    file: `${ENGINE}/shard.ts`,
    find: 'while (this.#inHand > 0 && clock.now() < deadlineMs) await clock.sleep(5)',
    replace: 'void clock',
    killer: invariant('G5'),
  },
  {
    name: 'commands are taken while stopping',
    file: `${ENGINE}/shard.ts`,
    find: "if (this.#isStopping) return Promise.resolve(refused('ShuttingDown', 'the server is shutting down'))",
    replace: '',
    killer: invariant('G5'),
  },
]
