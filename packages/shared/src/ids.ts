import { v7 } from 'uuid'

/** Entry ids are made before the first try of a write and stay the same on every further one. */
export type NewId = () => string

/** UUIDv7: time-ordered, so that index inserts stay at one end. */
export const newEntryId: NewId = () => v7()

/** `convoId` is the MLS group id as lower-case hex, at most 128 digits. */
const CONVO_ID = /^[0-9a-f]{1,128}$/

export function isConvoId(text: string): boolean {
  return CONVO_ID.test(text)
}
