import { isUtf8 } from 'node:buffer'
import { isValidDid } from '@atproto/syntax'
import { AuthError } from './auth-error.ts'
import type { VerifyKey } from './verify-key.ts'

/** How far the sender's clock may be from ours. */
export const CLOCK_SKEW_MS = 30_000
/** No honest token comes near; longer ones are not worth parsing. */
const MAX_TOKEN_LENGTH = 4096
const MAX_TOKEN_ID_LENGTH = 256
/** Tokens that an account holder gives to its PDS or its client, never to another service. */
const FOREIGN_TYPES = ['at+jwt', 'refresh+jwt', 'dpop+jwt']

export type TokenRules = {
  /** Each exactly as a token may name it. */
  audiences: ReadonlySet<string>
  /** False accepts a token that names no method. */
  enforceLxm: boolean
  maxLifetimeS: number
}

/** What a token says. Nothing of it is proven before its signature is. */
export type ServiceToken = {
  algorithm: VerifyKey['algorithm']
  /** A bare did:plc or did:web. */
  issuer: string
  tokenId: string
  lxm: string | undefined
  /** Unix ms, the skew included: from then on it is refused. */
  expiresAtMs: number
  signed: Uint8Array
  signature: Uint8Array
}

type JsonObject = Record<string, unknown>

/** The token of an Authorization header; its parts are not looked at. */
export function bearerToken(authorization: string | undefined): string {
  if (!authorization) throw new AuthError('missing', 'a bearer token is required')
  const token = /^Bearer ([\w.~+/=-]+)$/i.exec(authorization)?.[1]
  if (!token || token.length > MAX_TOKEN_LENGTH) {
    throw new AuthError('malformed', 'the Authorization header is not a bearer token')
  }
  return token
}

/** `alg` as a token's header has it, to tell who shall judge the token; one for somebody else is refused at once. */
export function claimedAlgorithm(token: string): unknown {
  const { typ, alg } = jsonPart(token.split('.', 1)[0]!)
  checkType(typ)
  return alg
}

/**
 * Reads an AT Protocol service token and checks all of its claims, in the order of the checks below; the signature
 * is left to who knows the key.
 */
export function readServiceToken(
  token: string,
  nsid: string,
  rules: TokenRules,
  nowMs: number,
): ServiceToken {
  const [head, body, tail, ...rest] = token.split('.', 4)
  if (body === undefined || tail === undefined || rest.length > 0) throw malformed()
  const header = jsonPart(head!)
  const claims = jsonPart(body)
  const signature = bytesOf(tail)
  checkType(header.typ)
  const algorithm = algorithmOf(header)
  const issuer = issuerOf(claims)
  checkAudience(claims.aud, rules.audiences)
  const expiresAtMs = expiryOf(claims.exp, rules.maxLifetimeS, nowMs)
  checkStart(claims.iat, nowMs)
  checkStart(claims.nbf, nowMs)
  const lxm = checkMethod(claims.lxm, nsid, rules.enforceLxm)
  const tokenId = tokenIdOf(claims.jti)
  const signed = Buffer.from(token.slice(0, token.lastIndexOf('.')), 'latin1')
  return { algorithm, issuer, tokenId, lxm, expiresAtMs, signed, signature }
}

export function checkNotExpired(expiresAtMs: number, nowMs: number): void {
  if (expiresAtMs <= nowMs) throw new AuthError('expired', 'the token has expired')
}

/** The method that the token is for; undefined when it names none and need not. */
export function checkMethod(lxm: unknown, nsid: string, enforceLxm: boolean): string | undefined {
  if (lxm === undefined) {
    if (enforceLxm) throw new AuthError('method', 'the token must name its method in lxm')
    return undefined
  }
  if (lxm !== nsid) throw new AuthError('method', 'the token is for another method')
  return nsid
}

function checkType(typ: unknown): void {
  if (typ === undefined) return
  if (typeof typ !== 'string') throw new AuthError('type', 'typ must be a string')
  // RFC 7515, section 4.1.9: media types, any case, and "application/" may be left out.
  const name = typ.toLowerCase().replace(/^application\//, '')
  if (FOREIGN_TYPES.includes(name)) throw new AuthError('type', 'this is not a token for a service')
}

function algorithmOf({ alg, crit }: JsonObject): VerifyKey['algorithm'] {
  if (alg !== 'ES256' && alg !== 'ES256K') throw new AuthError('algorithm', 'alg must be ES256 or ES256K')
  // RFC 7515, section 4.1.11: extensions that are not understood make a token invalid, and none are.
  if (crit !== undefined) throw new AuthError('algorithm', 'extensions of the header are not understood')
  return alg
}

function issuerOf({ iss, sub }: JsonObject): string {
  // A colon more would be a did:web with a path, which AT Protocol does not have.
  if (!isValidDid(iss) || !/^did:(plc|web):[^:]+$/.test(iss)) {
    throw new AuthError('issuer', 'iss must be a did:plc or did:web and nothing else')
  }
  if (sub !== undefined && sub !== iss) throw new AuthError('subject', 'sub is not the one who signs')
  return iss
}

function checkAudience(aud: unknown, audiences: ReadonlySet<string>): void {
  if (typeof aud !== 'string' || !audiences.has(aud)) {
    throw new AuthError('audience', 'the token is for another service')
  }
}

function expiryOf(exp: unknown, maxLifetimeS: number, nowMs: number): number {
  if (typeof exp !== 'number' || !Number.isFinite(exp)) throw new AuthError('expiry', 'exp must be a number')
  const expiresAtMs = Math.ceil(exp * 1000) + CLOCK_SKEW_MS
  checkNotExpired(expiresAtMs, nowMs)
  if (expiresAtMs - nowMs > maxLifetimeS * 1000 + 2 * CLOCK_SKEW_MS) {
    throw new AuthError('lifetime', 'the token lives too long', { maxLifetimeS })
  }
  return expiresAtMs
}

/** @param seconds iat or nbf: neither is required, and neither may be ahead */
function checkStart(seconds: unknown, nowMs: number): void {
  if (seconds === undefined) return
  if (typeof seconds !== 'number') throw new AuthError('issued_at', 'iat and nbf must be numbers')
  if (seconds * 1000 > nowMs + CLOCK_SKEW_MS) throw new AuthError('issued_at', 'the token is not good yet')
}

function tokenIdOf(jti: unknown): string {
  if (typeof jti !== 'string' || jti.length === 0 || jti.length > MAX_TOKEN_ID_LENGTH) {
    throw new AuthError('token_id', `jti must be a string of 1 to ${MAX_TOKEN_ID_LENGTH} characters`)
  }
  return jti
}

function jsonPart(part: string): JsonObject {
  const bytes = bytesOf(part)
  if (!isUtf8(bytes)) throw malformed()
  let value: unknown
  try {
    value = JSON.parse(bytes.toString())
  } catch {
    throw malformed()
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed()
  return value as JsonObject
}

/** Unpadded base64url, and only in the one form that encodes its bytes. */
function bytesOf(part: string): Buffer {
  const bytes = Buffer.from(part, 'base64url')
  // Node's decoder skips what it does not know. Encoding back is the strict check.
  if (bytes.toString('base64url') !== part) throw malformed()
  return bytes
}

function malformed(): AuthError {
  return new AuthError('malformed', 'the token is not a JWT')
}
