import { hash } from 'node:crypto'

/** Lower-case hex. */
export function hex(bytes: Uint8Array): string {
  return view(bytes).toString('hex')
}

/** The bytes of a hex string (either case), or null when it is anything else. The buffer is unpooled. */
export function fromHex(text: string): Uint8Array<ArrayBuffer> | null {
  if (text.length % 2 !== 0) return null
  const bytes = new Uint8Array(text.length / 2)
  return view(bytes).write(text, 'hex') === bytes.length ? bytes : null
}

/** SHA-256; a string stands for its UTF-8 bytes. */
export function sha256(bytes: Uint8Array | string): Buffer {
  return hash('sha256', bytes, 'buffer')
}

/** SHA-256 as lower-case hex; a string stands for its UTF-8 bytes. */
export function sha256Hex(bytes: Uint8Array | string): string {
  return hash('sha256', bytes, 'hex')
}

/** Standard alphabet with padding (RFC 4648 section 4), the only form that goes out. */
export function encodeBase64(bytes: Uint8Array): string {
  return view(bytes).toString('base64')
}

/**
 * Decodes base64 of either alphabet (RFC 4648 sections 4 and 5), with or without padding; null for anything
 * else: whitespace, both alphabets in one text, wrong padding, non-zero bits after the last byte. The buffer is
 * unpooled (`.buffer` is exactly the result), so that it can be transferred to a worker thread.
 */
export function decodeBase64(text: string): Uint8Array<ArrayBuffer> | null {
  const digits = text.endsWith('==') ? text.length - 2 : text.endsWith('=') ? text.length - 1 : text.length
  if (digits < text.length && text.length % 4 !== 0) return null
  const bytes = new Uint8Array(Math.floor((digits * 3) / 4))
  const buffer = view(bytes)
  buffer.write(text, 'base64')
  // Node's decoder skips what it does not know. Encoding back is the strict check, and faster than a regex.
  const alphabet = text.includes('-') || text.includes('_') ? 'base64url' : 'base64'
  return buffer.toString(alphabet).slice(0, digits) === text.slice(0, digits) ? bytes : null
}

function view(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
