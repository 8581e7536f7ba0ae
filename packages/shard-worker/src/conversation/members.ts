/** Above this a set is kept beside the list: a linear search of short lists is quicker and costs no memory. */
const INDEX_FROM = 64

/** The active members of a conversation in order of standing; immutable. */
export class Members {
  readonly list: readonly string[]
  #index: ReadonlySet<string> | undefined

  constructor(list: readonly string[]) {
    this.list = list
  }

  get count(): number {
    return this.list.length
  }

  has(did: string): boolean {
    if (this.list.length < INDEX_FROM) return this.list.includes(did)
    this.#index ??= new Set(this.list)
    return this.#index.has(did)
  }

  with(dids: readonly string[]): Members {
    return dids.length === 0 ? this : new Members([...this.list, ...dids])
  }

  without(dids: readonly string[]): Members {
    return dids.length === 0 ? this : new Members(this.list.filter((did) => !dids.includes(did)))
  }
}
