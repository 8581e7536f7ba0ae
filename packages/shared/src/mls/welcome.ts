import { skipHpkeCiphertext } from './commit.ts'
import { readBareOrWrapped, WIRE_FORMAT } from './mls-message.ts'
import type { Reader } from './reader.ts'

export type WelcomeFields = {
  cipherSuite: number
  /** The KeyPackageRefs that it welcomes, as views. */
  newMembers: Uint8Array[]
}

/** Reads a Welcome (RFC 9420 section 12.4.3.1), bare or in an MLSMessage, of the exact length; null otherwise. */
export function readWelcome(bytes: Uint8Array): WelcomeFields | null {
  return readBareOrWrapped(bytes, WIRE_FORMAT.welcome, readWelcomeFields)
}

function readWelcomeFields(reader: Reader): WelcomeFields {
  const cipherSuite = reader.u16()
  const newMembers: Uint8Array[] = []
  reader.items((secrets) => {
    newMembers.push(secrets.vector())
    skipHpkeCiphertext(secrets)
  })
  reader.skipVector() // encrypted_group_info
  // One that welcomes nobody is of no use, and the start of a wrapped Welcome would read as such a bare one.
  if (newMembers.length === 0) reader.fail()
  return { cipherSuite, newMembers }
}
