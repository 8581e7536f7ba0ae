import { sha256 } from './bytes.ts'

/** Fixed for good: a slot is the unit that moves when the number of shards changes. */
const SLOT_COUNT = 1024

/** The slot of a conversation, 0 … 1023: stable over restarts, shard counts and machines. */
function slotOf(convoId: string): number {
  return sha256(Buffer.from(convoId)).readUInt32BE(0) % SLOT_COUNT
}

/** Where each slot lives: by rendezvous hashing, so that going from N to N + 1 shards moves 1/(N + 1) of them. */
export class ShardMap {
  readonly #shardOfSlot: Uint16Array

  constructor(shardCount: number) {
    this.#shardOfSlot = Uint16Array.from({ length: SLOT_COUNT }, (_, slot) => ownerOf(slot, shardCount))
  }

  /** The only place that knows where a conversation lives. */
  route(convoId: string): number {
    return this.#shardOfSlot[slotOf(convoId)]!
  }
}

function ownerOf(slot: number, shardCount: number): number {
  let owner = 0
  let highest = -1
  for (let shard = 0; shard < shardCount; shard++) {
    const weight = sha256(Buffer.from(`${slot}:${shard}`)).readUIntBE(0, 6)
    if (weight > highest) {
      highest = weight
      owner = shard
    }
  }
  return owner
}

/** Whether a conversation is among the given percentage that goes through actors; stable per conversation. */
export function isRolledOut(convoId: string, percent: number): boolean {
  if (percent >= 100) return true
  return sha256(Buffer.from(`rollout:${convoId}`)).readUInt32BE(0) % 10_000 < percent * 100
}
