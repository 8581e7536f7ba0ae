import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TestBrowser } from '../support/browser/test-browser.ts'
import { makeReport } from './report.ts'
import { reportSvg } from './report-svg.ts'
import { Tally } from './tally.ts'

let browser: TestBrowser
beforeAll(async () => {
  browser = await TestBrowser.start()
})
afterAll(() => browser?.stop())

/** The report of a run whose requests took these times. */
function reportOf(latenciesMs: readonly number[], seconds: number) {
  const tally = new Tally(0)
  for (let second = 0; second < seconds; second++) {
    for (const ms of latenciesMs) {
      tally.offer()
      tally.done({ operation: 'send', name: 'ok', dueMs: second * 1000, doneMs: second * 1000 + ms })
    }
    tally.done({ operation: 'send', name: 'Overloaded', dueMs: 0, doneMs: 5 })
    // Nothing was answered in each seventh second.
    if (second % 7 === 6) tally.endSecond()
    tally.endSecond()
  }
  const plan = {
    mode: 'send',
    pace: { rate: 100, arrivals: 'poisson', concurrency: 512 },
    durationMs: seconds * 1000,
    retryForMs: 0,
  } as const
  const result = {
    tally,
    pace: undefined,
    limits: [],
    deliveries: undefined,
    measuredMs: Math.max(1, seconds * 1000),
  }
  return makeReport({ url: 'http://a.example/<&">', conversations: 100, members: 4 }, plan, result)
}

const RUNS: [string, number[], number][] = [
  ['usual latencies', [2, 3, 3, 4, 5, 8, 12, 30], 20],
  ['everything in one bucket', [5, 5, 5], 5],
  ['seven decades', [0.05, 1, 100, 20_000, 900_000], 400],
  ['one request', [7], 1],
  ['no answer at all', [], 3],
  ['less than a second', [], 0],
]

describe('the picture of a load', () => {
  it.each(RUNS)(
    'is an XML document whose texts and shapes lie inside it: %s',
    async (_, latenciesMs, seconds) => {
      const svg = reportSvg(reportOf(latenciesMs, seconds))
      const page = await browser.newPage()
      try {
        const found = await page.evaluate(inspect, svg)
        expect(found.error).toBeNull()
        expect(found.outside).toEqual([])
        expect(found.overlapping).toEqual([])
        expect(found.texts).toContain('How long requests took, from when they were due')
        if (latenciesMs.length > 0) {
          expect(found.texts.filter((text) => /^(p50|p95|p99|max) [\d.]+ m?s$/.test(text))).toHaveLength(4)
          expect(found.bars).toBeGreaterThan(0)
        }
      } finally {
        await page.close()
      }
    },
  )
})

/** Runs in the browser. */
function inspect(svg: string) {
  // biome-ignore lint/suspicious/noExplicitAny: the browser's globals are not those of Node.
  const { DOMParser, document } = globalThis as any
  const parsed = new DOMParser().parseFromString(svg, 'image/svg+xml')
  const error = parsed.querySelector('parsererror')?.textContent ?? null
  const root = document.body.appendChild(document.importNode(parsed.documentElement, true))
  const [, , width, height] = root.getAttribute('viewBox').split(' ').map(Number)
  // biome-ignore lint/suspicious/noExplicitAny: an element of the page.
  const boxed = [...root.querySelectorAll('*')].map((element: any) => ({ element, box: element.getBBox() }))
  const isOutside = ({ box }: (typeof boxed)[0]) =>
    !(box.x >= 0 && box.y >= 0 && box.x + box.width <= width && box.y + box.height <= height)
  const labels = boxed.filter(({ element }) => element.tagName === 'text')
  const overlap = (a: (typeof boxed)[0], b: (typeof boxed)[0]) =>
    Math.min(a.box.x + a.box.width, b.box.x + b.box.width) - Math.max(a.box.x, b.box.x) > 1 &&
    Math.min(a.box.y + a.box.height, b.box.y + b.box.height) - Math.max(a.box.y, b.box.y) > 2
  const overlapping = labels.flatMap((a, i) =>
    labels
      .slice(i + 1)
      .flatMap((b) => (overlap(a, b) ? [`${a.element.textContent} | ${b.element.textContent}`] : [])),
  )
  return {
    error,
    outside: boxed.filter(isOutside).map(({ element }) => element.outerHTML as string),
    overlapping,
    texts: labels.map(({ element }) => element.textContent as string),
    bars: boxed.filter(({ element }) => element.tagName === 'rect').length - 1,
  }
}
