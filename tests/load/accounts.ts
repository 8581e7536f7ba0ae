import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { devSecret } from '@catbird/api/auth/dev-secret'
import { signDevToken } from '@catbird/api/auth/dev-token'
import { loadConfig } from '@catbird/api/config'

/** Somebody in whose name requests are made. */
export type Account = { did: string; token: string; authorization: string }

export type Signing = { secret: string; audience: string }

const MAX_TOKENS = 100_000
/** How long a server takes tokens at most is a day. */
const MAX_TTL_S = 86_400
const SPARE_S = 3600

/** Accounts of their own for each run, so that runs do not meet. */
export function signAccounts(
  { secret, audience }: Signing,
  count: number,
  durationMs: number,
): Promise<Account[]> {
  const ttlSeconds = Math.min(MAX_TTL_S, Math.ceil(durationMs / 1000) + SPARE_S)
  const run = randomBytes(6).toString('hex')
  const sign = async (_: unknown, i: number): Promise<Account> => {
    const did = `did:plc:load${run}x${i}`
    return account(did, await signDevToken(secret, { did, audience, ttlSeconds }))
  }
  return Promise.all(Array.from({ length: count }, sign))
}

/** Accounts of the tokens in a file, one a line. Whether they are good is for the server to say. */
export async function readAccounts(path: string): Promise<Account[]> {
  const text = await readFile(path, 'utf8').catch((error: Error) => {
    throw new Error(`--tokens: ${error.message}`)
  })
  const tokens = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
  if (tokens.length === 0 || tokens.length > MAX_TOKENS) {
    throw new Error(`--tokens: ${path} holds ${tokens.length} tokens, must be 1 to ${MAX_TOKENS}, one a line`)
  }
  return tokens.map((token, i) => account(issuerOf(token, `${path}, line ${i + 1}`), token))
}

/**
 * What a server on this machine signs its development tokens with, found as `npm run token` finds it; the audience
 * follows from the port of the URL unless SERVICE_DID says otherwise.
 */
export async function findSigning(url: string, env = process.env): Promise<Signing> {
  const { port } = new URL(url)
  const config = loadConfig(port ? { ...env, SERVER_PORT: port } : env, 'tool')
  const secret = await devSecret(config)
  if (secret === undefined) {
    throw new Error(
      'JWT_SECRET is not set: give the secret of the server, or tokens that it takes (--tokens <file>)',
    )
  }
  return { secret, audience: config.auth.audiences[0]! }
}

function account(did: string, token: string): Account {
  return { did, token, authorization: `Bearer ${token}` }
}

function issuerOf(token: string, where: string): string {
  try {
    const { iss } = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString())
    if (typeof iss === 'string' && iss.startsWith('did:')) return iss
  } catch {
    // Told below.
  }
  throw new Error(
    `--tokens: ${where} is no bearer token of a DID, as "npm run -s token -- <did> --many n" prints them`,
  )
}
