/** The cipher suites of RFC 9420 section 17.1 that clients use, by name. */
export const CIPHER_SUITES = {
  MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519: 1,
  MLS_128_DHKEMP256_AES128GCM_SHA256_P256: 2,
  MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519: 3,
  MLS_256_DHKEMX448_AES256GCM_SHA512_Ed448: 4,
  MLS_256_DHKEMP521_AES256GCM_SHA512_P521: 5,
  MLS_256_DHKEMX448_CHACHA20POLY1305_SHA512_Ed448: 6,
} as const

export type CipherSuiteName = keyof typeof CIPHER_SUITES

/** The mandatory-to-implement suite (RFC 9420 section 17.1). */
export const DEFAULT_CIPHER_SUITE: CipherSuiteName = 'MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519'

const NAMES = Object.keys(CIPHER_SUITES) as CipherSuiteName[]

export function isCipherSuiteName(name: string): name is CipherSuiteName {
  return Object.hasOwn(CIPHER_SUITES, name)
}

export function cipherSuiteId(name: string): number | undefined {
  return isCipherSuiteName(name) ? CIPHER_SUITES[name] : undefined
}

export function cipherSuiteName(id: number): CipherSuiteName | undefined {
  return NAMES.find((name) => CIPHER_SUITES[name] === id)
}
