import { randomBytes } from 'node:crypto'
import type { Keypair } from '@atproto/crypto'

/** Times are Unix seconds. */
export type TokenClaims = {
  iss: string
  aud: string
  lxm: string
  exp?: number
  iat?: number
  jti?: string
}

const LIFETIME_S = 60

/** A service-auth token as a PDS makes them; good for a minute and with an id of its own, unless told. */
export async function signServiceToken(keypair: Keypair, claims: TokenClaims): Promise<string> {
  const iat = Math.floor(Date.now() / 1000)
  const jti = randomBytes(16).toString('hex')
  const payload = { iat, exp: (claims.iat ?? iat) + LIFETIME_S, jti, ...claims }
  const text = [{ typ: 'JWT', alg: keypair.jwtAlg }, payload]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.')
  const signature = await keypair.sign(Buffer.from(text))
  return `${text}.${Buffer.from(signature).toString('base64url')}`
}
