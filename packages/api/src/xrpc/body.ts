import type { IncomingMessage } from 'node:http'
import { RefusalError } from '@catbird/shared/errors'
import type { Admission } from './inflight-budget.ts'
import { shapeProblem } from './json-shape.ts'

export type BodyBounds = {
  maxBytes: number
  /** Unix ms by which all of it must be here. */
  deadlineMs: number
  /** What its bytes are charged to as they come. */
  admission: Admission
  /** Told its length before it is read, or else each piece as it comes; may refuse. */
  takeBytes(bytes: number): Promise<void>
}

/** Reads a JSON body; what is too long, too slow, cut, too much at present or of a hostile shape is refused. */
export async function readJsonBody(incoming: IncomingMessage, bounds: BodyBounds): Promise<unknown> {
  const type = incoming.headers['content-type']
  if (type === undefined || !/^application\/json\s*(;|$)/i.test(type)) {
    throw new RefusalError('UnsupportedMediaType', 'the body must be application/json')
  }
  const declared = Number(incoming.headers['content-length'] ?? 0)
  if (declared > bounds.maxBytes) throw tooLarge(bounds.maxBytes)
  if (declared > 0) await bounds.takeBytes(declared)
  const text = await readText(incoming, bounds, declared)
  const problem = shapeProblem(text)
  if (problem) throw new RefusalError('InvalidRequest', problem)
  try {
    return JSON.parse(text)
  } catch {
    throw new RefusalError('InvalidRequest', 'the body is not valid JSON')
  }
}

function readText(
  incoming: IncomingMessage,
  { maxBytes, deadlineMs, admission, takeBytes }: BodyBounds,
  declared: number,
) {
  // The connection went while the caller was authenticated: no event will tell.
  if (incoming.destroyed) throw cutOff()
  return new Promise<string>((resolve, reject) => {
    const received = new Received(declared || maxBytes)
    const timer = setTimeout(() => {
      finish(new RefusalError('InvalidRequest', 'the body did not arrive in time'))
    }, deadlineMs - Date.now())
    const onData = (chunk: Buffer): void => {
      if (received.length + chunk.length > maxBytes) finish(tooLarge(maxBytes))
      else if (!admission.charge(chunk.length)) finish(overloaded())
      else {
        received.add(chunk)
        // A body that does not tell its length counts as it comes, so that one without an end counts too.
        if (declared === 0) takeBytes(chunk.length).catch(finish)
      }
    }
    const onEnd = (): void => finish()
    const onCut = (): void => finish(cutOff())
    const finish = (error?: RefusalError): void => {
      clearTimeout(timer)
      incoming.off('data', onData).off('end', onEnd).off('close', onCut).off('error', onCut)
      if (error) {
        // What still comes is dropped.
        incoming.resume()
        reject(error)
      } else resolve(received.text())
    }
    incoming.on('data', onData).on('end', onEnd).on('close', onCut).on('error', onCut)
  })
}

const FIRST_BYTES = 16 * 1024

/**
 * The bytes of a body so far, in one buffer that grows with them. A list of the chunks would cost a stranger's
 * one-byte chunks a hundred bytes each, which nobody charges for.
 */
class Received {
  readonly #maxBytes: number
  #bytes: Buffer | undefined
  length = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  add(chunk: Buffer): void {
    const length = this.length + chunk.length
    // Most bodies come in one piece, which needs no copy.
    if (this.#bytes === undefined) this.#bytes = chunk
    else {
      if (length > this.#bytes.length) this.#grow(length)
      chunk.copy(this.#bytes, this.length)
    }
    this.length = length
  }

  text(): string {
    return this.#bytes?.toString('utf8', 0, this.length) ?? ''
  }

  #grow(length: number): void {
    const doubled = Math.min(Math.max(2 * length, FIRST_BYTES), this.#maxBytes)
    const bytes = Buffer.allocUnsafeSlow(Math.max(length, doubled))
    this.#bytes?.copy(bytes, 0, 0, this.length)
    this.#bytes = bytes
  }
}

function tooLarge(maxBytes: number): RefusalError {
  return new RefusalError('PayloadTooLarge', 'the body is too large', { maxBytes })
}

function overloaded(): RefusalError {
  return new RefusalError('Overloaded', 'too many bytes are in flight')
}

function cutOff(): RefusalError {
  return new RefusalError('InvalidRequest', 'the body was cut off')
}
