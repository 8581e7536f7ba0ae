import type { IncomingMessage } from 'node:http'
import { RefusalError } from '@catbird/shared/errors'

/** Reads a JSON body of at most `maxBytes`; what is longer, cut or too slow is refused and not kept. */
export async function readJsonBody(
  incoming: IncomingMessage,
  maxBytes: number,
  deadlineMs: number,
): Promise<unknown> {
  const type = incoming.headers['content-type']
  if (type === undefined || !/^application\/json\s*(;|$)/i.test(type)) {
    throw new RefusalError('UnsupportedMediaType', 'the body must be application/json')
  }
  const text = await readText(incoming, maxBytes, deadlineMs)
  try {
    return JSON.parse(text)
  } catch {
    throw new RefusalError('InvalidRequest', 'the body is not valid JSON')
  }
}

function readText(incoming: IncomingMessage, maxBytes: number, deadlineMs: number): Promise<string> {
  if (Number(incoming.headers['content-length'] ?? 0) > maxBytes) throw tooLarge(maxBytes)
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    const timer = setTimeout(() => {
      finish(new RefusalError('InvalidRequest', 'the body did not arrive in time'))
    }, deadlineMs - Date.now())
    const onData = (chunk: Buffer): void => {
      length += chunk.length
      if (length > maxBytes) finish(tooLarge(maxBytes))
      else chunks.push(chunk)
    }
    const onEnd = (): void => finish()
    const onCut = (): void => finish(new RefusalError('InvalidRequest', 'the body was cut off'))
    const finish = (error?: RefusalError): void => {
      clearTimeout(timer)
      incoming.off('data', onData).off('end', onEnd).off('close', onCut).off('error', onCut)
      if (error) {
        incoming.resume()
        reject(error)
      } else {
        resolve(Buffer.concat(chunks).toString('utf8'))
      }
    }
    incoming.on('data', onData).on('end', onEnd).on('close', onCut).on('error', onCut)
  })
}

function tooLarge(maxBytes: number): RefusalError {
  return new RefusalError('PayloadTooLarge', 'the body is too large', { maxBytes })
}
