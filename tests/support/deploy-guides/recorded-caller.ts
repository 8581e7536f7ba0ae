import type { Caller } from '../caller.ts'
import type { TestClient } from '../client.ts'

type Call = { name: Parameters<TestClient['call']>[0]; input: Record<string, unknown> }

/** A caller that keeps what it has sent, as a client does that can repeat it. */
export class RecordedCaller implements Caller {
  readonly calls: Call[] = []
  readonly #caller: Caller

  constructor(caller: Caller) {
    this.#caller = caller
  }

  get did(): string {
    return this.#caller.did
  }

  readonly call: Caller['call'] = (name, input = {}) => {
    this.calls.push({ name, input })
    return this.#caller.call(name, input)
  }

  readonly ok: Caller['ok'] = (name, input) => this.#caller.ok(name, input)
}
