/** Twice what any client has reason for, and far below what any reader of nested values minds. */
const MAX_DEPTH = 32
/** An invitation of a hundred members has less than a thousand; a few bytes each can become a hundred in memory. */
const MAX_VALUES = 100_000

const QUOTE = 0x22
const COMMA = 0x2c
const BACKSLASH = 0x5c
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

/**
 * Names what is wrong with the shape of a JSON text, before anything is built of it; undefined when nothing is.
 * Looks at brackets and commas only and leaves it to the parser whether the text is JSON.
 */
export function shapeProblem(text: string): string | undefined {
  let depth = 0
  let values = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < QUOTE) continue
    if (code === QUOTE) i = endOfString(text, i + 1)
    else if (code === OPEN_ARRAY || code === OPEN_OBJECT) {
      if (++depth > MAX_DEPTH) return `the body is nested more than ${MAX_DEPTH} levels deep`
      values++
    } else if (code === CLOSE_ARRAY || code === CLOSE_OBJECT) depth--
    else if (code === COMMA) values++
    if (values > MAX_VALUES) return `the body has more than ${MAX_VALUES} values`
  }
  return undefined
}

/** Position of the quote that ends the string; megabytes of base64 are passed over in one step. */
function endOfString(text: string, from: number): number {
  for (let quote = text.indexOf('"', from); quote !== -1; quote = text.indexOf('"', quote + 1)) {
    let backslashes = 0
    while (text.charCodeAt(quote - 1 - backslashes) === BACKSLASH) backslashes++
    if (backslashes % 2 === 0) return quote
  }
  return text.length
}
