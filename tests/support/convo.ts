import { randomBytes } from 'node:crypto'
import { type TestClient, wire } from './client.ts'
import { craftApplicationMessage, craftCommit } from './frames.ts'

export const SUITE = 'MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519'

/** A new group id, as clients make them. */
export function newGroupId(): string {
  return randomBytes(16).toString('hex')
}

/** Creates a conversation; with `epoch` it is tracked from the start. */
export async function createConvo(creator: TestClient, input: Record<string, unknown> = {}): Promise<string> {
  const { id } = await creator.ok('createConvo', { groupId: newGroupId(), cipherSuite: SUITE, ...input })
  return id
}

/** A commit of this group that ends `epoch`, as wire bytes; every call gives other bytes. */
export function commitFor(convoId: string, epoch: number, size = 200) {
  return wire(craftCommit({ groupId: Buffer.from(convoId, 'hex'), epoch, size }))
}

/** An application message of this group in `epoch`, as wire bytes; every call gives other bytes. */
export function messageFor(convoId: string, epoch: number, size = 200) {
  return wire(craftApplicationMessage({ groupId: Buffer.from(convoId, 'hex'), epoch, size }))
}
