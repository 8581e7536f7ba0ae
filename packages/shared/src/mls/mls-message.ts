import { Reader } from './reader.ts'

/** ProtocolVersion mls10 (RFC 9420 section 6). */
export const MLS10 = 1

/** WireFormat (RFC 9420 section 6 and 17.2). */
export const WIRE_FORMAT = {
  publicMessage: 1,
  privateMessage: 2,
  welcome: 3,
  keyPackage: 5,
} as const

/**
 * Reads an object that clients send both bare and in an MLSMessage, whichever parses to the exact length; null
 * when neither does.
 */
export function readBareOrWrapped<T>(
  bytes: Uint8Array,
  wireFormat: number,
  read: (reader: Reader) => T,
): T | null {
  return readExactly(new Reader(bytes), read) ?? readWrapped(bytes, wireFormat, read)
}

function readWrapped<T>(bytes: Uint8Array, wireFormat: number, read: (reader: Reader) => T): T | null {
  const reader = new Reader(bytes)
  return reader.u16() === MLS10 && reader.u16() === wireFormat ? readExactly(reader, read) : null
}

function readExactly<T>(reader: Reader, read: (reader: Reader) => T): T | null {
  const value = read(reader)
  return reader.isComplete ? value : null
}
