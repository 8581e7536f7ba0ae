import type { Form } from './frame.ts'

/** Why a stream ends; the label of `stream_closes_total`. */
export const CLOSE_REASONS = ['client', 'slow', 'blocked', 'shutdown', 'failed'] as const

export type CloseReason = (typeof CLOSE_REASONS)[number]

/** The transport of one stream: Server-Sent Events or a WebSocket. It never waits and never throws. */
export type Connection = {
  readonly form: Form
  /** Bytes that were handed over and have not left this process yet. */
  readonly backlog: number
  /** Of these, those of frames that have not begun to leave. */
  readonly waiting: number
  /** Sends encoded frames, in one go. After the end it does nothing. */
  send(frames: readonly Buffer[]): void
  /** Calls back once, when the backlog is gone or the connection is. */
  whenDrained(then: () => void): void
  /**
   * Ends the connection after what was sent. Who does not read is cut off some seconds later.
   *
   * @param last tells why, encoded for this form
   */
  end(last?: Buffer): void
  /** Calls back once, when the connection is gone, whoever ended it. */
  onClose(then: () => void): void
}
