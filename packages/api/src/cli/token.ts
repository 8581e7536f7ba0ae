// npm run token -- <did> [--lxm <nsid>] [--ttl 1h] [--many n]: prints bearer tokens for development.
import { parseArgs } from 'node:util'
import { isValidDid } from '@atproto/syntax'
import { devSecret } from '../auth/dev-secret.ts'
import { signDevToken } from '../auth/dev-token.ts'
import { loadConfig } from '../config.ts'
import { runCli } from './run-cli.ts'

const USAGE = 'Usage: npm run -s token -- <did> [--lxm <nsid>] [--ttl 1h] [--many n]'
const UNIT_SECONDS = { s: 1, m: 60, h: 3600 } as const

await runCli(async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { lxm: { type: 'string' }, ttl: { type: 'string', default: '1h' }, many: { type: 'string' } },
  })
  const [did] = positionals
  if (!did || !isValidDid(did) || positionals.length > 1) throw new Error(USAGE)
  const config = loadConfig(process.env, 'tool')
  const secret = await devSecret(config)
  if (!secret) throw new Error('JWT_SECRET is not set: this server takes no development tokens')
  const ttlSeconds = readTtl(values.ttl)
  const audience = config.auth.audiences[0]!
  for (const name of names(did, values.many)) {
    console.log(await signDevToken(secret, { did: name, audience, lxm: values.lxm, ttlSeconds }))
  }
})

/** With --many n: tokens for <did>1 … <did>n. */
function names(did: string, many: string | undefined): string[] {
  if (many === undefined) return [did]
  const count = Number(many)
  if (!Number.isInteger(count) || count < 1 || count > 100_000) throw new Error(USAGE)
  return Array.from({ length: count }, (_, i) => `${did}${i + 1}`)
}

function readTtl(text: string): number {
  const [, amount, unit] = /^(\d+)([smh])$/.exec(text) ?? []
  const seconds = Number(amount) * UNIT_SECONDS[unit as keyof typeof UNIT_SECONDS]
  if (!(seconds > 0 && seconds <= 86_400))
    throw new Error('--ttl is a time such as 90s, 15m or 1h, at most 24h')
  return seconds
}
