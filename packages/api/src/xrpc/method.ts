import type { TokenUse } from '@catbird/shared/commands'
import type { Input, MethodNsid, Output, Params, ProcedureNsid, QueryNsid } from '@catbird/shared/lexicon'
import type { AppContext } from '../context.ts'

/** What a method knows of its caller beside the input. */
export type Request = {
  /** DID that the token proved. */
  caller: string
  tokenUse?: TokenUse
  requestId: string
  /** Unix ms; no work is begun after it. */
  deadlineMs: number
}

export type Method<N extends MethodNsid> = {
  /** Most bytes of a JSON body; queries have none. */
  maxBodyBytes: number
  /** Answers in wire form, or throws a `RefusalError` with a name that the lexicon declares. */
  run(context: AppContext, input: MethodInput<N>, request: Request): Promise<Output<N>>
}

export type MethodInput<N extends MethodNsid> = N extends ProcedureNsid
  ? Input<N>
  : N extends QueryNsid
    ? Params<N>
    : never

const KIB = 1024
const MIB = 1024 * KIB

/** Bodies by what they may carry: base64 takes 4/3 of the decoded limit, the rest of the JSON a little more. */
export const BODY_LIMITS = {
  none: 0,
  small: 64 * KIB,
  keyPackage: 128 * KIB,
  message: 14 * MIB,
  commitAndWelcome: 28 * MIB,
} as const
