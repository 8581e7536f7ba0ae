import type { Page } from 'playwright-core'
import { eventually } from '../eventually.ts'
import { OPS_TOKEN } from './console-client.ts'

/** The console's page in a browser, as an operator sees it. */
export class ConsolePage {
  readonly #page: Page
  /** What the browser complains of: faults of scripts, and what the page's policy does not allow. */
  readonly complaints: string[] = []

  private constructor(page: Page) {
    this.#page = page
    page.on('pageerror', ({ message }) => this.complaints.push(message))
    page.on('console', (line) => {
      if (/Content Security Policy|Refused to/.test(line.text())) this.complaints.push(line.text())
    })
  }

  static async open(page: Page, server: string): Promise<ConsolePage> {
    const console = new ConsolePage(page)
    await page.goto(`${server}/ops`)
    return console
  }

  async logIn(token = OPS_TOKEN): Promise<void> {
    await this.#page.getByLabel(/Token/).fill(token)
    await this.#page.getByRole('button', { name: 'Log in' }).click()
  }

  async isIn(): Promise<void> {
    await this.#page.locator('#console').waitFor({ state: 'visible' })
  }

  async logOut(): Promise<void> {
    await this.#page.getByRole('button', { name: 'Log out' }).click()
    await this.#page.locator('#login').waitFor({ state: 'visible' })
  }

  /** Everything in an element, as text. */
  async text(selector: string): Promise<string> {
    return (await this.#page.locator(selector).textContent()) ?? ''
  }

  says(selector: string, what: RegExp): Promise<void> {
    return eventually(`${what} in ${selector}`, async () => what.test(await this.text(selector)), 20_000)
  }

  /** The number in a tile, without its unit; NaN when there is none. */
  async tile(title: string): Promise<number> {
    const tile = this.#page.locator('#tiles > div').filter({ hasText: title }).locator('dd')
    return Number.parseFloat(((await tile.textContent()) ?? '').replaceAll(',', ''))
  }

  /** Of each chart that is drawn, how many of its pixels have about the colour of one of its lines. */
  linePixels(): Promise<Record<string, number>> {
    return this.#page.evaluate<Record<string, number>>(COUNT_LINE_PIXELS)
  }

  async reload(): Promise<void> {
    await this.#page.reload()
  }

  /** Looks one up by what is in the list of the hottest. */
  async lookUpHottest(): Promise<void> {
    await this.#page.locator('#hot button').first().click()
  }

  async lookUp(convoId: string): Promise<void> {
    await this.#page.getByLabel('Conversation id').fill(convoId)
    await this.#page.getByRole('button', { name: 'Look up' }).click()
  }

  /** What was found of the conversation, by name. */
  async facts(): Promise<Record<string, string>> {
    const [names, values] = await Promise.all(
      ['#convo dt', '#convo dd'].map((selector) => this.#page.locator(selector).allTextContents()),
    )
    return Object.fromEntries(names!.map((name, i) => [name, values![i] ?? '']))
  }

  async passivate(): Promise<void> {
    await this.#page.getByRole('button', { name: 'Passivate…' }).click()
    await this.#page.getByRole('button', { name: 'Passivate', exact: true }).click()
  }

  /** Opens the question and types the word, without sending it. */
  async askToDrain(word: string): Promise<{ canConfirm: boolean }> {
    if (!(await this.#page.locator('#ask').isVisible())) {
      await this.#page.getByRole('button', { name: 'Drain…' }).click()
    }
    await this.#page.locator('#ask-word').fill(word)
    return { canConfirm: await this.#page.getByRole('button', { name: 'Drain and stop' }).isEnabled() }
  }

  async confirm(): Promise<void> {
    await this.#page.locator('#ask-word').press('Enter')
  }

  /** Whether everything fits into the width of the window. */
  async fits(width: number): Promise<boolean> {
    await this.#page.setViewportSize({ width, height: 800 })
    return this.#page.evaluate('document.documentElement.scrollWidth <= innerWidth')
  }
}

/** Runs in the page. */
const COUNT_LINE_PIXELS = `(() => {
  const found = {}
  for (const figure of document.querySelectorAll('figure:not([hidden])')) {
    const canvas = figure.querySelector('canvas')
    if (!canvas) continue
    const wanted = [...figure.querySelectorAll('.u-marker')]
      .map((marker) => getComputedStyle(marker).borderTopColor.match(/\\d+/g)?.map(Number))
      .filter((colour) => colour !== undefined)
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
    let pixels = 0
    for (let i = 0; i < data.length; i += 4) {
      const isLine = wanted.some((colour) => colour.slice(0, 3).every((part, k) => Math.abs(part - data[i + k]) < 24))
      if (data[i + 3] > 200 && isLine) pixels++
    }
    found[figure.dataset.chart] = pixels
  }
  return found
})()`
