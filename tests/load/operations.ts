import type { FrameKind } from './frame-writer.ts'

export const MODES = ['send', 'commit', 'mixed', 'hot', 'churn', 'streams'] as const
export type Mode = (typeof MODES)[number]

/** What a request does; reports name it so. */
export type Operation = 'send' | 'commit' | 'getMessages' | 'getEpoch' | 'getConvos' | 'create'

/** How often each mode does what, in parts of a hundred. */
export const MIXES: Record<Mode, Partial<Record<Operation, number>>> = {
  send: { send: 100 },
  commit: { commit: 100 },
  mixed: { send: 70, getMessages: 15, commit: 5, getEpoch: 5, getConvos: 5 },
  hot: { send: 100 },
  churn: { send: 80, create: 20 },
  streams: { send: 100 },
}

export const WRITES = { send: 'message', commit: 'commit' } as const satisfies Partial<
  Record<Operation, FrameKind>
>

/** The only refusal that says nothing about the server: somebody else's commit came first. */
export const EXPECTED_REFUSALS: readonly string[] = ['EpochMismatch']

/** Refusals by which nothing has been carried out, nor ever will be. */
const NOT_DONE: readonly string[] = ['Overloaded', 'ShuttingDown']

export type Verdict = 'accepted' | 'refused' | 'unknown'

/** What a request came to, for those who keep the history. */
export type Outcome = {
  operation: Operation
  verdict: Verdict
  /** `ok`, or the error's name. */
  name: string
  convoId: string
  /** Of the conversation. */
  members: number
  /** Of the frame that was sent; undefined for what sends none. */
  stamp: string | undefined
  seq: number | undefined
}

/** @param status undefined when no answer came */
export function verdictOf(status: number | undefined, name: string): Verdict {
  if (status === 200) return 'accepted'
  const isDefinite = (status !== undefined && status < 500) || NOT_DONE.includes(name)
  return isDefinite ? 'refused' : 'unknown'
}
