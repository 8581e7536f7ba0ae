import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import type { Signature, SignatureAlgorithm } from 'ts-mls'

/** How a raw MLS public key becomes an X.509 SubjectPublicKeyInfo, the form that OpenSSL reads. */
type KeyForm = { algorithmIdentifier: Buffer; digest: string | null; keyBytes: number }

const KEY_FORMS: Partial<Record<SignatureAlgorithm, KeyForm>> = {
  Ed25519: { algorithmIdentifier: Buffer.from('300506032b6570', 'hex'), digest: null, keyBytes: 32 },
  Ed448: { algorithmIdentifier: Buffer.from('300506032b6571', 'hex'), digest: null, keyBytes: 57 },
  P256: {
    algorithmIdentifier: Buffer.from('301306072a8648ce3d020106082a8648ce3d030107', 'hex'),
    digest: 'sha256',
    keyBytes: 65,
  },
  P521: {
    algorithmIdentifier: Buffer.from('301006072a8648ce3d020106052b81040023', 'hex'),
    digest: 'sha512',
    keyBytes: 133,
  },
}

/**
 * A ts-mls signature provider that verifies with node:crypto (tens of times faster than its own for P-256 and
 * P-521) and does nothing else: the server holds no MLS keys. A malformed key or signature is not valid.
 */
export function signatureVerifier(algorithm: SignatureAlgorithm): Signature {
  const form = KEY_FORMS[algorithm]
  // A key package has two signatures by one key, and decompressing a point costs as much as a signature.
  let last: { publicKey: Uint8Array; key: KeyObject | null } | undefined
  return {
    async verify(publicKey, message, signature) {
      if (!form) return false
      if (last?.publicKey !== publicKey) last = { publicKey, key: importPublicKey(form, publicKey) }
      return last.key !== null && verify(form.digest, message, last.key, signature)
    },
    sign: verifiesOnly,
    keygen: verifiesOnly,
  }
}

function importPublicKey(form: KeyForm, publicKey: Uint8Array): KeyObject | null {
  if (!hasKeyForm(form, publicKey)) return null
  const bitString = der(0x03, Buffer.from([0]), publicKey)
  try {
    return createPublicKey({
      key: der(0x30, form.algorithmIdentifier, bitString),
      format: 'der',
      type: 'spki',
    })
  } catch {
    return null
  }
}

/**
 * RFC 9420 section 5.1.1 wants curve points uncompressed; ts-mls up to 1.6 writes its P-256 and P-521 signature
 * keys compressed, and both are unambiguous.
 */
function hasKeyForm({ digest, keyBytes }: KeyForm, publicKey: Uint8Array): boolean {
  if (digest === null) return publicKey.length === keyBytes
  if (publicKey.length === keyBytes) return publicKey[0] === 4
  return publicKey.length === (keyBytes + 1) / 2 && (publicKey[0] === 2 || publicKey[0] === 3)
}

/** A DER element of at most 255 content bytes. */
function der(tag: number, ...parts: Uint8Array[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  return Buffer.concat([Buffer.from(length < 128 ? [tag, length] : [tag, 0x81, length]), ...parts])
}

function verifiesOnly(): Promise<never> {
  return Promise.reject(new Error('This signature provider only verifies'))
}
