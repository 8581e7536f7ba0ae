/**
 * Work in steps: what lies between two yields reads from one snapshot, and may go on in another one after each.
 * Whoever runs it decides at every yield whether a new transaction begins.
 */
export type Steps = AsyncGenerator<void, void, void>
