import type { Reader } from './reader.ts'

/** CredentialType (RFC 9420 section 17.5). */
const CREDENTIAL_TYPE = { basic: 1, x509: 2 } as const

export type Credential = {
  type: number
  /** Of a basic credential only. */
  identity: Uint8Array | null
}

/** Credential (RFC 9420 section 5.3). The form of another type is unknown, so it fails the reader. */
export function readCredential(reader: Reader): Credential {
  const type = reader.u16()
  if (type === CREDENTIAL_TYPE.basic) return { type, identity: reader.vector() }
  if (type === CREDENTIAL_TYPE.x509) reader.items(skipCertificate)
  else reader.fail()
  return { type, identity: null }
}

function skipCertificate(reader: Reader): void {
  reader.skipVector()
}
