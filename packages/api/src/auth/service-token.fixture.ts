import { generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import { formatMultikey } from '@atproto/crypto'
import type { RefusalError } from '@catbird/shared/errors'
import { AuthError } from './auth-error.ts'
import { ReplayMemory, type ReplayMemoryOptions } from './replay-memory.ts'
import { ServiceAuthenticator, type ServiceAuthenticatorOptions } from './service-authenticator.ts'
import { signingKeyOf } from './signing-key.ts'
import type { KeyFinder, VerifyKey } from './verify-key.ts'

export const AUDIENCE = 'did:web:mls.example.com'
export const ALICE = 'did:plc:alice'
export const BOB = 'did:web:bob.example.com'
export const QUERY = 'blue.catbird.mls.getConvos'
export const PROCEDURE = 'blue.catbird.mls.sendMessage'
export const NOW_S = 1_800_000_000

type Algorithm = VerifyKey['algorithm']

const CURVES = {
  ES256: { name: 'P-256', order: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n },
  ES256K: { name: 'secp256k1', order: 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n },
}

/** An account's key pair. It signs with OpenSSL, unlike what the server verifies ES256K with. */
export function makeKey(algorithm: Algorithm) {
  const { name, order } = CURVES[algorithm]
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: name })
  const { x, y } = publicKey.export({ format: 'jwk' })
  const point = Buffer.concat([Buffer.of(4), Buffer.from(x!, 'base64url'), Buffer.from(y!, 'base64url')])
  const multikey = formatMultikey(algorithm, point)
  return {
    algorithm,
    point,
    multikey,
    publicKey,
    verifier: signingKeyOf(multikey),
    sign: (data: string | Uint8Array, dsaEncoding: 'ieee-p1363' | 'der' = 'ieee-p1363') =>
      sign('sha256', Buffer.from(data as string), { key: privateKey, dsaEncoding }),
    /** Of the two signatures that say the same, the one with the larger or the smaller s. */
    withS(size: 'high' | 'low', signature: Uint8Array): Buffer {
      const s = BigInt(`0x${Buffer.from(signature.subarray(32)).toString('hex')}`)
      const isHigh = s > order / 2n
      const wanted = isHigh === (size === 'high') ? s : order - s
      return Buffer.concat([
        signature.subarray(0, 32),
        Buffer.from(wanted.toString(16).padStart(64, '0'), 'hex'),
      ])
    },
  }
}

export type TestKey = ReturnType<typeof makeKey>

export const base64url = (part: unknown) =>
  Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url')

/** What Alice's PDS would say, with a token id of its own; a claim that is undefined is left out. */
export const claims = (changes: Record<string, unknown> = {}) => ({
  iat: NOW_S,
  iss: ALICE,
  aud: AUDIENCE,
  exp: NOW_S + 60,
  lxm: QUERY,
  jti: randomUUID(),
  ...changes,
})

export function signToken(key: TestKey, payload: unknown = claims(), header: object = {}): string {
  const text = `${base64url({ typ: 'JWT', alg: key.algorithm, ...header })}.${base64url(payload)}`
  return `${text}.${key.sign(text).toString('base64url')}`
}

/** The documents of all accounts: as the resolver remembers them, and as they are when it looks again. */
class TestDocuments implements KeyFinder {
  readonly remembered = new Map<string, VerifyKey>()
  /** Without an entry the resolver is not willing to look again. */
  readonly published = new Map<string, VerifyKey>()
  finds = 0
  refreshes = 0
  /** Happens while a key is looked for. */
  whileFinding: () => void = () => {}

  async find(did: string): Promise<VerifyKey> {
    this.finds++
    this.whileFinding()
    const key = this.remembered.get(did)
    if (!key) throw new AuthError('identity', 'there is no such account')
    return key
  }

  async refresh(did: string): Promise<VerifyKey | undefined> {
    this.refreshes++
    return this.published.get(did)
  }
}

/** A service, and two accounts whose keys are on different curves. */
export function makeWorld(
  options: Partial<ServiceAuthenticatorOptions> & Pick<ReplayMemoryOptions, 'maxTokens'> = {},
) {
  const alice = makeKey('ES256K')
  const bob = makeKey('ES256')
  const documents = new TestDocuments()
  documents.remembered.set(ALICE, alice.verifier).set(BOB, bob.verifier)
  const clock = { nowMs: NOW_S * 1000, now: () => clock.nowMs, sleep: () => Promise.resolve() }
  const service = new ServiceAuthenticator({
    audiences: [AUDIENCE],
    enforceLxm: true,
    maxLifetimeS: 300,
    keys: documents,
    replays: new ReplayMemory({ key: Buffer.alloc(32, 7), clock, maxTokens: options.maxTokens }),
    clock,
    isProcedure: (nsid) => nsid === PROCEDURE,
    ...options,
  })
  return { alice, bob, documents, clock, service }
}

/** The error's name, and its reason when it is one of authentication; anything but a refusal is thrown on. */
export async function failureOf(attempt: Promise<unknown>): Promise<string> {
  try {
    return `accepted: ${JSON.stringify(await attempt)}`
  } catch (error) {
    const { refusal } = error as RefusalError
    if (!refusal) throw error
    return error instanceof AuthError ? `${refusal.error} ${error.reason}` : refusal.error
  }
}
