import { encodeBase64 } from './bytes.ts'
import { type ErrorName, RefusalError } from './errors.ts'
import { methodDef } from './lexicon/documents.ts'
import { applyNamedChecks } from './lexicon/named-checks.ts'
import { readBody, readQuery } from './lexicon/read-request.ts'
import { requestFields, validateRequest } from './lexicon/request-plan.ts'
import type { Input, Nsid, Params, ProcedureNsid, QueryNsid, StreamNsid, WireBytes } from './lexicon/types.ts'

export { assertOutput } from './lexicon/check-output.ts'
export { contentHash } from './lexicon/content-hash.ts'
export { declaredErrors, isNsid } from './lexicon/documents.ts'
export type * from './lexicon/types.ts'

/**
 * Names that any method may answer with and that no lexicon declares: those of XRPC and those of the transport
 * around the methods.
 */
export const TRANSPORT_ERRORS = [
  'InvalidRequest',
  'AuthenticationRequired',
  'InvalidToken',
  'ExpiredToken',
  'BadJwtAudience',
  'BadJwtLexiconMethod',
  'BadJwtSignature',
  'ReplayedToken',
  'Forbidden',
  'MethodNotAllowed',
  'PayloadTooLarge',
  'UnsupportedMediaType',
  'RateLimitExceeded',
  'InternalServerError',
  'MethodNotImplemented',
  'Overloaded',
  'ShuttingDown',
  'DatabaseUnavailable',
  'IdentityUnavailable',
  'OutcomeUnknown',
] as const satisfies readonly ErrorName[]

/** Names by which a WebSocket stream is ended, in its last frame. They are never the answer to a request. */
export const FRAME_ERRORS = ['FutureCursor', 'ConsumerTooSlow'] as const

/** Whether a method changes something: it is called by POST then, otherwise by GET. */
export function isProcedure(nsid: Nsid): nsid is ProcedureNsid {
  return methodDef(nsid).type === 'procedure'
}

/** Whether a method opens a stream instead of answering with one JSON object. */
export function isStream(nsid: Nsid): nsid is StreamNsid {
  return nsid === 'blue.catbird.mls.streamConvoEvents' || nsid === 'blue.catbird.mls.subscribeConvoEvents'
}

/** Names of the request fields that `parseInput` gives back as bytes. */
export function bytesFields(nsid: Nsid): readonly string[] {
  return requestFields(nsid)
    .filter((field) => field.type === 'bytes')
    .map((field) => field.name)
}

/**
 * Reads a procedure's JSON body: resolves snake_case keys, drops unknown ones, decodes bytes (also of fields
 * that the lexicon calls base64 strings) and validates.
 * @throws RefusalError with the name that the contract gives to the violation, otherwise InvalidRequest
 */
export function parseInput<N extends ProcedureNsid>(nsid: N, json: unknown): Input<N> {
  return check(nsid, readBody(requestFields(nsid), json)) as Input<N>
}

/**
 * Reads a query's parameters: resolves snake_case names, ignores unknown ones, converts, fills in defaults and
 * validates. Arrays are repeated parameters.
 * @throws RefusalError with the name that the contract gives to the violation, otherwise InvalidRequest
 */
export function parseParams<N extends QueryNsid>(nsid: N, query: URLSearchParams): Params<N> {
  return check(nsid, readQuery(requestFields(nsid), query)) as Params<N>
}

/** Bytes in wire form: base64 in the standard alphabet with padding, whatever the client sent. */
export function encodeBytes(bytes: Uint8Array): WireBytes {
  return { $bytes: encodeBase64(bytes) }
}

function check(nsid: Nsid, request: Record<string, unknown>): unknown {
  applyNamedChecks(nsid, request)
  const result = validateRequest(nsid, request)
  if ('problem' in result) throw new RefusalError('InvalidRequest', result.problem)
  return result.value
}
