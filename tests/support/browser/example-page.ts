import { readFileSync } from 'node:fs'
import type { Page, Request } from 'playwright-core'
import { checkEvent, type StreamEvent } from '../streams/event-check.ts'

const README = new URL('../../../README.md', import.meta.url)

/** The example page of the README as it stands there, but for the port. */
export function exampleHtml(server: string): string {
  return exampleInReadme().replaceAll('localhost:3000', `localhost:${new URL(server).port}`)
}

function exampleInReadme(): string {
  const [, html] = /^```html\n(.*?)^```$/ms.exec(readFileSync(README, 'utf8')) ?? []
  if (html !== undefined) return html
  throw new Error('README.md has no example in HTML')
}

/** The example page, opened by somebody who has a token. */
export class ExamplePage {
  readonly #page: Page

  private constructor(page: Page) {
    this.#page = page
  }

  static async open(page: Page, url: string, token: string): Promise<ExamplePage> {
    page.on('dialog', (question) => question.accept(token).catch(() => {}))
    await page.goto(url)
    return new ExamplePage(page)
  }

  /** The events that it shows, each checked; what else it says is for people. */
  async events(): Promise<StreamEvent[]> {
    const lines = (await this.text()).split('\n')
    return lines.filter((line) => line.startsWith('{"type"')).map((line) => checkEvent(JSON.parse(line)))
  }

  async text(): Promise<string> {
    return (await this.#page.locator('pre').textContent()) ?? ''
  }

  /** Resolves when it has asked for a ticket in vain. */
  async hasAskedInVain(): Promise<void> {
    const isForTicket = (request: Request) => request.url().endsWith('getSubscriptionTicket')
    await this.#page.waitForEvent('requestfailed', isForTicket)
  }
}
