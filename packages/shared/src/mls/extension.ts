import type { Reader } from './reader.ts'

/** The KeyPackage extension last_resort (draft-ietf-mls-extensions, IANA "MLS Extension Types"). */
export const LAST_RESORT = 0x000a

/** Moves over `Extension extensions<V>` (RFC 9420 section 13). */
export function skipExtensions(reader: Reader): void {
  reader.items(skipExtension)
}

/** Moves over `Extension extensions<V>` and answers the types in their order. */
export function readExtensionTypes(reader: Reader): number[] {
  const types: number[] = []
  reader.items((item) => {
    types.push(item.u16())
    item.skipVector()
  })
  return types
}

function skipExtension(reader: Reader): void {
  reader.skip(2)
  reader.skipVector()
}
