import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser, chromium, type Page } from 'playwright-core'
import { inject } from 'vitest'

const START_MS = 30_000
const WAIT_MS = 20_000

/** A real browser without a window, and a web server whose pages have another origin than the server under test. */
export class TestBrowser {
  readonly #browser: Browser
  /** What it keeps beside its profile goes here, and not to whoever runs the tests. */
  readonly #home: string
  readonly #site: Server
  readonly #pages: string[] = []

  private constructor(browser: Browser, home: string) {
    this.#browser = browser
    this.#home = home
    this.#site = createServer(({ url }, response) => {
      const html = this.#pages[Number(url?.slice(1))]
      response.writeHead(html === undefined ? 404 : 200, { 'Content-Type': 'text/html; charset=utf-8' })
      response.end(html)
    })
  }

  static async start(): Promise<TestBrowser> {
    const { path, problem } = inject('chromium') ?? { problem: 'nobody has looked for a browser' }
    if (path === undefined) throw new Error(problem)
    const home = await mkdtemp(join(tmpdir(), 'catbird-browser-'))
    const launched = await chromium.launch({
      executablePath: path,
      // Its own sandbox does not work for root; the pages are ours.
      args: ['--no-sandbox'],
      env: { PATH: process.env.PATH, HOME: home, TMPDIR: home },
      timeout: START_MS,
    })
    const browser = new TestBrowser(launched, home)
    browser.#site.listen(0, '127.0.0.1')
    await once(browser.#site, 'listening')
    return browser
  }

  /** An empty page that waits for nothing longer than some seconds. */
  async newPage(): Promise<Page> {
    const page = await this.#browser.newPage()
    page.setDefaultTimeout(WAIT_MS)
    return page
  }

  /** Where this page can be had from now on. */
  serve(html: string): string {
    const { port } = this.#site.address() as AddressInfo
    return `http://127.0.0.1:${port}/${this.#pages.push(html) - 1}`
  }

  async stop(): Promise<void> {
    await this.#browser.close()
    this.#site.closeAllConnections()
    this.#site.close()
    await rm(this.#home, { recursive: true, force: true, maxRetries: 5 })
  }
}
