import { test } from './killers.ts'
import type { Mutant } from './mutant.ts'

const AUTH = 'packages/api/src/auth'
const LIMITS = 'packages/api/src/limits'

const TOKENS = test(`${AUTH}/token-authenticator.test.ts`)
const SERVICE = test(`${AUTH}/service-authenticator.test.ts`)
const REPLAYS = test(`${AUTH}/replay-memory.test.ts`)
const KEYS = test(`${AUTH}/did/did-keys.test.ts`)
const READ_KEY = test(`${AUTH}/did/read-key.test.ts`)
const PUBLIC_FETCH = test(`${AUTH}/did/public-fetch.test.ts`)
const RATE_LIMITS = test(`${LIMITS}/rate-limits.test.ts`)
const rateLimits = (filter: string) => test('tests/contract/rate-limits.test.ts', filter)

/** Who is let in, and how often. */
export const AUTH_MUTANTS: Mutant[] = [
  {
    name: 'a token for another service is accepted',
    file: `${AUTH}/service-token.ts`,
    find: "typeof aud !== 'string' || !audiences.has(aud)",
    replace: "typeof aud !== 'string'",
    killer: TOKENS,
  },
  {
    name: 'a token for another method is accepted',
    file: `${AUTH}/service-token.ts`,
    find: "if (lxm !== nsid) throw new AuthError('method', 'the token is for another method')",
    replace: '',
    killer: TOKENS,
  },
  {
    name: 'a token may live for ever',
    file: `${AUTH}/service-token.ts`,
    find: 'expiresAtMs - nowMs > maxLifetimeS * 1000 + 2 * CLOCK_SKEW_MS',
    replace: 'false',
    killer: TOKENS,
  },
  {
    name: 'an expired token is accepted',
    file: `${AUTH}/service-token.ts`,
    find: "if (expiresAtMs <= nowMs) throw new AuthError('expired', 'the token has expired')",
    replace: '',
    killer: TOKENS,
  },
  {
    name: 'sub may be another account',
    file: `${AUTH}/service-token.ts`,
    find: "if (sub !== undefined && sub !== iss) throw new AuthError('subject', 'sub is not the one who signs')",
    replace: '',
    killer: TOKENS,
  },
  {
    name: 'a signature counts for any algorithm',
    file: `${AUTH}/service-authenticator.ts`,
    find: 'key.algorithm === algorithm && key.verify(signed, signature)',
    replace: 'key.verify(signed, signature)',
    killer: TOKENS,
  },
  {
    name: 'signatures are not checked',
    file: `${AUTH}/service-authenticator.ts`,
    find: '    await this.#checkSignature(read)\n',
    replace: '',
    killer: TOKENS,
  },
  {
    name: 'a token of a procedure is remembered like that of a query',
    file: `${AUTH}/service-authenticator.ts`,
    find: 'isProcedure ? undefined : this.#verified.get(token)',
    replace: 'this.#verified.get(token)',
    killer: SERVICE,
  },
  {
    name: 'a token may be used twice',
    file: `${AUTH}/replay-memory.ts`,
    find: "if (used.has(hash)) throw new AuthError('replayed', 'the token has been used before')",
    replace: '',
    killer: REPLAYS,
  },
  {
    name: 'used tokens are forgotten when there are many',
    file: `${AUTH}/replay-memory.ts`,
    find: 'if (this.#size >= this.#maxTokens) {',
    replace: 'if (false) {',
    killer: REPLAYS,
  },
  {
    name: "a document may be another DID's",
    file: `${AUTH}/did/read-key.ts`,
    find: 'parsed.data.id !== did',
    replace: 'false',
    killer: READ_KEY,
  },
  {
    name: 'a host may have a private address',
    file: `${AUTH}/did/public-fetch.ts`,
    find: "ipaddr.process(address).range() === 'unicast'",
    replace: 'ipaddr.isValid(address)',
    killer: PUBLIC_FETCH,
  },
  {
    name: 'a stale key is used for ever',
    file: `${AUTH}/did/did-keys.ts`,
    find: 'known && now < known.seenAt + staleMs ? known.key : undefined',
    replace: 'known?.key',
    killer: KEYS,
  },
  {
    name: 'a key that its document no longer names is kept',
    file: `${AUTH}/did/did-keys.ts`,
    find: 'if (error instanceof AuthError) this.#keys.delete(did)',
    replace: '',
    killer: KEYS,
  },
  {
    name: 'each request looks the document up for itself',
    file: `${AUTH}/did/did-keys.ts`,
    find: 'if (running) return running',
    replace: '',
    killer: KEYS,
  },
  {
    name: 'one caller uses up the share of all',
    file: `${LIMITS}/rate-limits.ts`,
    find: 'take(`\x24{did} \x24{nsid}`)',
    replace: 'take(nsid)',
    killer: RATE_LIMITS,
  },
  {
    name: 'failed authentications are not counted',
    file: 'packages/api/src/xrpc/let-in.ts',
    find: 'if (error instanceof AuthError && error.isCostly) await limits.addressFailed(address)',
    replace: '',
    killer: rateLimits('refuses an address that is over'),
  },
  {
    name: 'failures that cost nothing keep others of the address out',
    file: 'packages/api/src/xrpc/let-in.ts',
    find: 'error instanceof AuthError && error.isCostly',
    replace: 'error instanceof AuthError',
    killer: rateLimits('does not count tokens'),
  },
  {
    name: 'blocked accounts are served',
    file: 'packages/api/src/xrpc/let-in.ts',
    find: 'if (context.blockedDids.has(caller.did)) {',
    replace: 'if (false) {',
    killer: test('tests/scenario/admin.test.ts', 'blocked'),
  },
  {
    name: 'used tokens are forgotten as soon as they expire',
    file: 'packages/api/src/jobs/clean-up.ts',
    find: "expires_at <= now() - interval '15 minutes'",
    replace: 'expires_at <= now()',
    killer: test('packages/api/src/jobs/clean-up.test.ts'),
  },
  {
    name: 'publishing a key package does not use its token up',
    file: 'packages/api/src/methods/publishKeyPackage.ts',
    find: 'usingToken(sql, tokenUse, ',
    replace: 'usingToken(sql, undefined, ',
    killer: test('tests/scenario/used-tokens.test.ts', 'publishKeyPackage'),
  },
  {
    name: 'one domain may have all lookups',
    file: `${AUTH}/did/document-fetcher.ts`,
    find: 'count >= this.#limits.maxPerDomain',
    replace: 'false',
    killer: test(`${AUTH}/did/document-fetcher.test.ts`),
  },
]
