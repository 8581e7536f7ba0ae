import type { Step } from './scheduler.ts'

type StepNode = { ready: Step[]; sleeping: Map<string, Step>; done: Map<string, Step>; chosen: Step }
type PickNode = { options: number; picked: number }
type Node = StepNode | PickNode

/**
 * Enumerates all runs of a deterministic world, depth first: each run repeats the choices of the one before up to
 * the last place where something else could be chosen.
 *
 * Runs that differ only in the order of independent steps are explored once (sleep sets, Godefroid 1996): after a
 * step has been explored it sleeps in its siblings' subtrees until a step that depends on it is taken. A step that
 * nothing can come before or depend on is taken at once (a persistent set of one).
 */
export class Explorer {
  #path: Node[] = []
  #depth = 0
  #sleeping = new Map<string, Step>()

  /** One of `options` possibilities that are no steps, such as what fails. */
  pick(options: number): number {
    const node = this.#path[this.#depth]
    if (!node) this.#path.push({ options, picked: 0 })
    else if (!('options' in node) || node.options !== options)
      throw new Error('the world is not deterministic')
    this.#depth++
    return node ? (node as PickNode).picked : 0
  }

  /** The next step; undefined when every run from here has been explored in another order. */
  choose(ready: Step[], pending: readonly Step[]): Step | undefined {
    const node = (this.#path[this.#depth] as StepNode | undefined) ?? this.#push(ready, pending)
    if (!node) return undefined
    this.#depth++
    const chosen = ready.find(({ id }) => id === node.chosen.id)
    if (!chosen) throw new Error('the world is not deterministic')
    const asleep = [...node.sleeping, ...node.done].filter(([, step]) => isIndependent(step, chosen))
    this.#sleeping = new Map(asleep)
    return chosen
  }

  /** Goes to the next run; false when there is none. */
  next(): boolean {
    this.#depth = 0
    this.#sleeping = new Map()
    for (let node = this.#path.at(-1); node; node = this.#path.at(-1)) {
      if (advance(node)) return true
      this.#path.pop()
    }
    return false
  }

  #push(all: Step[], pending: readonly Step[]): StepNode | undefined {
    const sleeping = this.#sleeping
    const alone = all.find((step) => isAlone(step, pending))
    const ready = alone ? [alone] : all
    const chosen = ready.find(({ id }) => !sleeping.has(id!))
    if (!chosen) return undefined
    const node = { ready, sleeping, done: new Map(), chosen }
    this.#path.push(node)
    return node
  }
}

function advance(node: Node): boolean {
  if ('options' in node) return ++node.picked < node.options
  node.done.set(node.chosen.id!, node.chosen)
  const next = node.ready.find(({ id }) => !node.done.has(id!) && !node.sleeping.has(id!))
  if (next) node.chosen = next
  return next !== undefined
}

/** All that its owner can do next, and of no concern to anybody else. */
function isAlone({ owner, touches }: Step, pending: readonly Step[]): boolean {
  if (touches !== 'nothing') return false
  return pending.filter((step) => step.owner === owner).length === 1
}

function isIndependent(a: Step, b: Step): boolean {
  if (a.owner === b.owner || a.touches === 'everything' || b.touches === 'everything') return false
  return (
    a.touches === 'nothing' || b.touches === 'nothing' || (a.touches === 'reads' && b.touches === 'reads')
  )
}
