import { v7 } from 'uuid'

/** Entry ids are made before the first try of a write and stay the same on every further one. */
export type NewId = () => string

/** UUIDv7: time-ordered, so that index inserts stay at one end. */
export const newEntryId: NewId = () => v7()
