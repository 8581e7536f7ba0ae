import { sha256Hex } from '@catbird/shared/bytes'
import { timestamp } from '@catbird/shared/clock'
import { RefusalError } from '@catbird/shared/errors'
import type { PublishKeyPackageInput } from '@catbird/shared/lexicon'
import { verifyKeyPackage } from '@catbird/shared/mls/verify-key-package'
import type { AppContext } from '../context.ts'
import { countAvailable, storeKeyPackage } from '../queries/key-packages.ts'
import { usingToken } from '../queries/use-token.ts'
import { BODY_LIMITS, type Method } from '../xrpc/method.ts'

const HOUR_MS = 60 * 60 * 1000
/** 90 days, and an hour for clocks that differ. */
const MAX_LIFETIME_MS = 90 * 24 * HOUR_MS + HOUR_MS

export const publishKeyPackage: Method<'blue.catbird.mls.publishKeyPackage'> = {
  maxBodyBytes: BODY_LIMITS.keyPackage,
  async run(context, input, { caller, tokenUse }) {
    const { database, config } = context
    const nowMs = context.clock.now()
    const checked = await check(context, input, caller, nowMs)
    const entry = {
      did: caller,
      ...checked,
      cipherSuite: input.cipherSuite,
      bytes: input.keyPackage,
      maxPerDid: config.limits.maxKeyPackages,
    }
    const outcome = await database.query('store_key_package', (sql) =>
      usingToken(sql, tokenUse, (transaction) => storeKeyPackage(transaction, entry)),
    )
    if (outcome === 'full') {
      throw new RefusalError('TooManyKeyPackages', 'the caller has too many key packages', {
        limit: config.limits.maxKeyPackages,
      })
    }
    const available = await database.query('count_key_packages', (sql) =>
      countAvailable(sql, caller, input.cipherSuite),
    )
    return { keyPackageHash: checked.hash, available }
  },
}

type Checked = { hash: string; ref?: string; identity: string; lastResort: boolean; expiresAt: string }

async function check(
  context: AppContext,
  input: PublishKeyPackageInput,
  did: string,
  nowMs: number,
): Promise<Checked> {
  const { keyPackage, cipherSuite, lastResort = false } = input
  const asked = input.expires === undefined ? undefined : readExpiry(input.expires, nowMs)
  if (context.config.mls.validation === 'off') {
    const expiresAt = timestamp(asked ?? nowMs + MAX_LIFETIME_MS)
    return { hash: sha256Hex(keyPackage), identity: did, lastResort, expiresAt }
  }
  const nowSeconds = Math.floor(nowMs / 1000)
  const verified = await verifyKeyPackage(keyPackage, { suite: cipherSuite, did, nowSeconds })
  if (!verified.ok) throw new RefusalError('InvalidKeyPackage', verified.reason)
  const { hash, ref, identity, notAfter, isLastResort } = verified
  // A package is handed out no longer than it is valid.
  const expiresAtMs = Math.min(asked ?? nowMs + MAX_LIFETIME_MS, notAfter * 1000)
  return { hash, ref, identity, lastResort: lastResort || isLastResort, expiresAt: timestamp(expiresAtMs) }
}

function readExpiry(text: string, nowMs: number): number {
  const expiresAtMs = Date.parse(text)
  if (Number.isNaN(expiresAtMs)) throw new RefusalError('InvalidRequest', 'expires is not a time')
  if (expiresAtMs <= nowMs) throw new RefusalError('InvalidRequest', 'expires has passed')
  if (expiresAtMs > nowMs + MAX_LIFETIME_MS) {
    throw new RefusalError('ExpirationTooFar', 'expires is more than 90 days away')
  }
  return expiresAtMs
}
