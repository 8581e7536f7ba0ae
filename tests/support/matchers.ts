import { expect } from 'vitest'

/** RFC 3339 in UTC with milliseconds. */
export const aTime = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
export const aHash = expect.stringMatching(/^[0-9a-f]{64}$/)

export const ascending = (count: number, from = 1) => Array.from({ length: count }, (_, i) => i + from)
