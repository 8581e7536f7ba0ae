import { didDocument, getDidKeyFromMultibase } from '@atproto/identity'
import { AuthError } from '../auth-error.ts'
import type { VerifyKey } from '../verify-key.ts'

const DID_KEY_PREFIX = 'did:key:'
// Strangers write these documents, and both decoding a long text and checking a point take time.
const MAX_ENTRIES = 8
/** An uncompressed point in base 16 has 131 characters, a Multikey 50. */
const MAX_KEY_LENGTH = 256

/**
 * The key that a document says its DID signs with: the first usable `#atproto` entry. Throws `AuthError` identity
 * when it is not that DID's document or has none.
 *
 * @param document parsed JSON
 * @param toKey throws on what is not the Multikey of a curve that AT Protocol signs with
 */
export function readKey(did: string, document: unknown, toKey: (multikey: string) => VerifyKey): VerifyKey {
  const parsed = didDocument.safeParse(document)
  if (!parsed.success) throw new AuthError('identity', 'what is published for the DID is not a DID document')
  if (parsed.data.id !== did) throw new AuthError('identity', 'the DID document is that of another DID')
  if ((document as { deactivated?: unknown }).deactivated === true) {
    throw new AuthError('identity', 'the DID is deactivated')
  }
  const entries = (parsed.data.verificationMethod ?? [])
    .filter(({ id, controller }) => (id === '#atproto' || id === `${did}#atproto`) && controller === did)
    .slice(0, MAX_ENTRIES)
  for (const { type, publicKeyMultibase = '' } of entries) {
    if (publicKeyMultibase.length > MAX_KEY_LENGTH) continue
    try {
      // Reads Multikey and both older notations of a key.
      const didKey = getDidKeyFromMultibase({ type, publicKeyMultibase })
      if (didKey !== undefined) return toKey(didKey.slice(DID_KEY_PREFIX.length))
    } catch {
      // Of several entries, those that cannot be read do not count.
    }
  }
  throw new AuthError('identity', 'the DID document has no usable #atproto key')
}
