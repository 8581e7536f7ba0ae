import type { Command, Reply } from '@catbird/shared/commands'
import { checkHistory } from './check-history.ts'
import type { FailureKind } from './failure-plan.ts'
import { type Step, settled } from './scheduler.ts'
import { POLICY, SimWorld, type WorldOptions } from './sim-world.ts'
import { storedDatabase } from './stored-database.ts'

/** A request on its way: the reply, once there is one. */
export type Asked = { readonly outcome: string | undefined; readonly answer: Record<string, unknown> }

/** A simulated world that a test steps through by hand; steps are named `a write.commit`: owner, call, phase. */
export class SteppedWorld {
  readonly world: SimWorld
  /** What will fail: the next call of that name, `a write`. */
  readonly failing: Record<string, FailureKind> = {}

  constructor(options: WorldOptions = { owners: ['actor'] }) {
    const failures = (owner: string, call: string) => {
      const kind = this.failing[`${owner} ${call}`]
      delete this.failing[`${owner} ${call}`]
      return kind
    }
    this.world = new SimWorld({ failures, ...options })
  }

  ask(command: Command, owner = 0): Asked {
    let reply: Reply | undefined
    void this.world.submit(owner, command).then((value) => {
      reply = value
    })
    return {
      get outcome() {
        return reply && (reply.ok ? 'accepted' : reply.refusal.error)
      },
      get answer() {
        return reply?.ok ? reply.answer : {}
      },
    }
  }

  /** Asks and lets everything happen. */
  async done(command: Command, owner = 0): Promise<Asked> {
    const asked = this.ask(command, owner)
    await this.drain()
    return asked
  }

  /** Takes the named steps in this order; each must be possible then. */
  async take(...names: string[]): Promise<void> {
    for (const name of names) {
      await settled()
      const step = this.world.scheduler.pending.find((other) => nameOf(other) === name)
      if (!step || step.isReady?.() === false) throw new Error(`no ${name} among ${await this.pending()}`)
      this.world.scheduler.take(step)
    }
    await settled()
  }

  /** Takes whatever of one owner can happen next until the named step has been taken. */
  async takeUntil(name: string): Promise<void> {
    const owner = name.split(' ')[0]!
    for (;;) {
      await settled()
      const step = this.world.scheduler.ready().find((other) => other.owner === owner)
      if (!step) throw new Error(`no ${name}`)
      this.world.scheduler.take(step)
      if (nameOf(step) === name) break
    }
    await settled()
  }

  async drain(): Promise<void> {
    await this.world.scheduler.run(() => 0)
  }

  async pending(): Promise<string[]> {
    await settled()
    return this.world.scheduler.pending.map(nameOf)
  }

  /** The conversation's log: kinds, with seqs of entries. */
  log(convoId: string): string[] {
    return this.world.database.convo(convoId).log.map(({ kind, seq }) => (seq ? `${kind} ${seq}` : kind))
  }

  problems(): string[] {
    const { database, history } = this.world
    return [...database.faults, ...checkHistory(history, storedDatabase(database), POLICY)]
  }
}

function nameOf({ owner, action }: Step): string {
  return `${owner} ${action}`
}
