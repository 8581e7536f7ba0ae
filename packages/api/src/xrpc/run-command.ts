import type { Command, CommandType } from '@catbird/shared/commands'
import { RefusalError } from '@catbird/shared/errors'
import { contentHash, type Input, type Output } from '@catbird/shared/lexicon'
import type { AppContext } from '../context.ts'
import type { Request } from './method.ts'

type CommandNsid = `blue.catbird.mls.${CommandType}`

/** What waiting for a command costs beside the bytes that it carries. */
const BASE_BYTES = 1024

/** The fields that every command has, from a method's input. */
export function commandBase(nsid: CommandNsid, input: Input<CommandNsid>, convoId: string, request: Request) {
  const { idempotencyKey: key } = input
  const carried = Object.values(input).filter((value) => value instanceof Uint8Array)
  return {
    ...request,
    convoId,
    size: BASE_BYTES + carried.reduce((sum, bytes) => sum + bytes.byteLength, 0),
    idempotency: key === undefined ? undefined : { key, contentHash: contentHash(nsid, input) },
  }
}

/** Runs a command on its executor and gives its answer, or throws its refusal. */
export async function runCommand<N extends CommandNsid>(
  context: AppContext,
  command: Extract<Command, { type: N extends `${string}.mls.${infer T}` ? T : never }>,
): Promise<Output<N>> {
  const reply = await context.executor.execute(command)
  if (reply.ok) {
    context.streams.poke()
    return reply.answer as unknown as Output<N>
  }
  const { error, message, details } = reply.refusal
  throw new RefusalError(error, message, details)
}
