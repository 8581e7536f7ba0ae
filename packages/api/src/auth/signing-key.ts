import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import { createRequire } from 'node:module'
import { parseMultikey } from '@atproto/crypto'
import { sha256 } from '@catbird/shared/bytes'
import type { VerifyKey } from './verify-key.ts'

/** What is used of libsecp256k1. */
type Secp256k1 = Pick<typeof import('secp256k1'), 'signatureNormalize' | 'ecdsaVerify'>

/** r and s of either curve. */
export const SIGNATURE_BYTES = 64
/** 49 characters make a compressed point; decoding base58 takes quadratic time. */
const MAX_MULTIKEY_LENGTH = 64

/**
 * libsecp256k1, or null where no binary of it fits this machine. The package's own entry point would then answer
 * with a JavaScript implementation that is many times slower, and say nothing.
 */
export const libsecp256k1 = loadLibsecp256k1()

function loadLibsecp256k1(): Secp256k1 | null {
  try {
    return createRequire(import.meta.url)('secp256k1/bindings.js')
  } catch {
    return null
  }
}

/**
 * The key that a Multikey stands for (`zQ3s…` secp256k1, `zDna…` P-256). Throws on anything else.
 * @param library for ES256K; with null, and for ES256 always, OpenSSL verifies
 */
export function signingKeyOf(multikey: string, library: Secp256k1 | null = libsecp256k1): VerifyKey {
  if (multikey.length > MAX_MULTIKEY_LENGTH) throw new Error('the multikey is too long')
  const { jwtAlg, keyBytes } = parseMultikey(multikey)
  if (jwtAlg === 'ES256') return opensslKey('ES256', publicKey('P-256', keyBytes))
  if (jwtAlg !== 'ES256K') throw new Error('keys of this kind do not sign tokens')
  if (!library) return opensslKey('ES256K', publicKey('secp256k1', keyBytes))
  return libsecp256k1Key(library, keyBytes)
}

/** @param point uncompressed: libsecp256k1 would compute y anew for every signature */
function libsecp256k1Key(library: Secp256k1, point: Uint8Array): VerifyKey {
  return {
    algorithm: 'ES256K',
    verify(data, signature) {
      if (signature.length !== SIGNATURE_BYTES) return false
      try {
        // The library refuses a high s, PDSs do not. It normalizes in place, and the caller's bytes are theirs.
        const normalized = library.signatureNormalize(Uint8Array.from(signature))
        return library.ecdsaVerify(normalized, sha256(data), point)
      } catch {
        // r or s is no scalar of the curve.
        return false
      }
    },
  }
}

function opensslKey(algorithm: VerifyKey['algorithm'], key: KeyObject): VerifyKey {
  const options = { key, dsaEncoding: 'ieee-p1363' } as const
  return {
    algorithm,
    verify: (data, signature) =>
      signature.length === SIGNATURE_BYTES && verify('sha256', data, options, signature),
  }
}

/** @param point uncompressed: 4, x, y */
function publicKey(crv: 'P-256' | 'secp256k1', point: Uint8Array): KeyObject {
  const coordinate = (from: number) => Buffer.from(point.subarray(from, from + 32)).toString('base64url')
  return createPublicKey({ format: 'jwk', key: { kty: 'EC', crv, x: coordinate(1), y: coordinate(33) } })
}
