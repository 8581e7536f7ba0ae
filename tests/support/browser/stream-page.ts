import { readFileSync } from 'node:fs'
import type { Page } from 'playwright-core'
import type { TestClient } from '../client.ts'
import { eventually } from '../eventually.ts'
import { checkEvent, type StreamEvent } from '../streams/event-check.ts'
import { decodeFrame } from '../streams/frame-decoder.ts'
import type { TestBrowser } from './test-browser.ts'

const HTML = readFileSync(new URL('./pages/streams.html', import.meta.url), 'utf8')

/** What the page tells of its streams. */
type Seen =
  | { kind: 'event'; data: string; id: string }
  | { kind: 'error'; isClosed: boolean }
  | { kind: 'open' }
  | { kind: 'frame'; bytes: string }
  | { kind: 'close'; code: number }

/** An answer to the page, as the browser's own tools show it. */
type StreamAnswer = { status: number; lastEventId: string | undefined }

/** A page that opens streams of both kinds and hands on what comes. */
export class StreamPage {
  readonly #page: Page
  readonly #server: string
  readonly #seen: Seen[] = []
  /** Answers to requests for Server-Sent Events, in their order. */
  readonly answers: StreamAnswer[] = []

  private constructor(page: Page, server: string) {
    this.#page = page
    this.#server = server
    page.on('response', async (response) => {
      if (!response.url().includes('streamConvoEvents')) return
      // The page may be closed by now.
      const lastEventId = await response
        .request()
        .headerValue('last-event-id')
        .catch(() => null)
      this.answers.push({ status: response.status(), lastEventId: lastEventId ?? undefined })
    })
  }

  /** @param server its URL, without path */
  static async open(browser: TestBrowser, server: string): Promise<StreamPage> {
    const page = await browser.newPage()
    const streams = new StreamPage(page, server)
    await page.exposeFunction('report', (seen: Seen) => streams.#seen.push(seen))
    await page.goto(browser.serve(HTML))
    return streams
  }

  /** Takes a ticket as somebody, in the page. */
  async takeTicket(reader: TestClient): Promise<{ ticket: string; url: string }> {
    return this.#run('takeTicket', this.#server, await reader.token())
  }

  /** From now on. */
  openEvents(ticket: string): Promise<void> {
    return this.#run('openEvents', `${this.#server}/xrpc/blue.catbird.mls.streamConvoEvents?ticket=${ticket}`)
  }

  /** @param url from a ticket */
  openSocket(url: string, cursor?: string): Promise<void> {
    return this.#run('openSocket', cursor === undefined ? url : `${url}&cursor=${cursor}`)
  }

  /** Events of both kinds of streams, each checked. */
  get events(): StreamEvent[] {
    return this.#seen.flatMap((seen) => {
      if (seen.kind === 'event') return [eventOf(seen)]
      return seen.kind === 'frame' ? [eventInFrame(seen)] : []
    })
  }

  /** What happened beside events. */
  get turns(): Seen[] {
    return this.#seen.filter(({ kind }) => kind !== 'event' && kind !== 'frame')
  }

  /** Resolves when as many streams as told have sent everything that was there when they began. */
  caughtUp(streams = 1): Promise<void> {
    const count = () =>
      this.events.filter((event) => event.type === 'infoEvent' && event.info === 'caughtUp').length
    return eventually(`caughtUp of stream ${streams}`, () => count() >= streams)
  }

  close(): Promise<void> {
    return this.#page.close()
  }

  #run<T>(name: string, ...args: string[]): Promise<T> {
    return this.#page.evaluate(`${name}(${args.map((value) => JSON.stringify(value)).join()})`)
  }
}

function eventOf({ data, id }: { data: string; id: string }): StreamEvent {
  const event = checkEvent(JSON.parse(data))
  if (event.cursor !== id) throw new Error('the id of an event is not its cursor')
  return event
}

function eventInFrame({ bytes }: { bytes: string }): StreamEvent {
  const frame = decodeFrame(Buffer.from(bytes, 'base64'))
  if ('error' in frame) throw new Error(`the stream ended with ${frame.error.error}`)
  return checkEvent(frame.event)
}
