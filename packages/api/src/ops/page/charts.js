import { element } from './dom.js'
import { count, milliseconds, number, percent } from './format.js'

const HEIGHT = 190
const MINUTE_S = 60
/** More than the server keeps is never held. */
const KEPT_S = 15 * MINUTE_S
/** What is drawn of very many shards. */
const SPREAD = ['lowest shard', 'median shard', 'highest shard']
const COLOURS = {
  light: [
    '#1d5fd1',
    '#c2410c',
    '#17803d',
    '#8b3fc4',
    '#b0831b',
    '#0e7c86',
    '#c02672',
    '#5f6b7a',
    '#6b8e23',
    '#a14b2a',
    '#3949ab',
    '#00897b',
    '#7b5e57',
  ],
  dark: [
    '#6ea5ff',
    '#ff9a5c',
    '#5fd38b',
    '#c694ff',
    '#ecc75a',
    '#4fd0dc',
    '#ff85bd',
    '#a9b5c6',
    '#b6d86a',
    '#e59b7d',
    '#9fa8ff',
    '#5fd8c4',
    '#c8aea6',
  ],
}

/** What each chart is about; the server names its lines. */
const CHARTS = {
  utilization: {
    title: 'Busy share of each thread',
    unit: 'percent of the time',
    about:
      'How much of its time each event loop works. Above 90 % commands wait: with shards that busy, more of them help; with a busy front they do not.',
    format: percent,
    range: [0, 1],
  },
  commandsPerS: {
    title: 'Commands answered',
    unit: 'per second',
    about:
      'Accepted and refused writes, by the thread that decided them. “Direct” are those without an actor.',
    format: number,
  },
  answerMs: {
    title: 'Time to the answer of a command',
    unit: 'milliseconds, mean',
    about:
      'From the front handing a command over to its answer, by executor: the wait, the decision and the write.',
    format: milliseconds,
  },
  mailbox: {
    title: 'Mailbox depth',
    unit: 'commands that wait, over all actors of a shard',
    about:
      'Near zero when the shard keeps up. A depth that stays is a shard, or one hot conversation, with more than it can take.',
    format: count,
  },
  batchMs: {
    title: 'Batch latency',
    unit: 'milliseconds, mean',
    about:
      'How long PostgreSQL took for one group commit: one transaction with the writes of many conversations.',
    format: milliseconds,
  },
  batchRows: {
    title: 'Batch size',
    unit: 'log rows in a transaction, mean',
    about: 'Grows with the load: what comes while a batch is written goes into the next one.',
    format: number,
  },
  heap: {
    title: 'Heap in use',
    unit: 'percent of its limit',
    about:
      'Memory of JavaScript objects. It rises and falls with the collections of garbage; a thread at its limit ends.',
    format: percent,
    range: [0, 1],
  },
  actors: {
    title: 'Actors in memory',
    unit: 'conversations',
    about: 'They come with the first command and go after ACTOR_IDLE_MS without one.',
    format: count,
  },
}

const scheme = matchMedia('(prefers-color-scheme: dark)')
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

/** The charts of the last minutes, each with what it shows and a line for each thread. */
export class Charts {
  #parent
  #minutes = 15
  /** By chart: names of its lines, a time for each moment, values by line. */
  #data = {}
  #plots = new Map()

  constructor(parent) {
    this.#parent = parent
    for (const [name, { title, unit, about }] of Object.entries(CHARTS)) {
      const caption = element(
        'figcaption',
        {},
        element('h3', {}, title, element('span', { class: 'unit' }, ` · ${unit}`)),
        element('p', { class: 'explain about' }, about),
      )
      parent.append(
        element(
          'figure',
          { 'data-chart': name, 'aria-label': title },
          caption,
          element('div', { class: 'plot' }),
        ),
      )
    }
    scheme.addEventListener('change', () => this.#rebuild())
    new ResizeObserver(() => this.#resize()).observe(parent)
  }

  /** Forgets everything: the server is another one now. */
  clear() {
    this.#data = {}
    this.#rebuild()
  }

  show(minutes) {
    this.#minutes = minutes
    this.#draw()
  }

  /** Adds what the server answered since the last time. */
  add({ atMs, charts }) {
    const times = atMs.map((ms) => ms / 1000)
    for (const [name, { names, values }] of Object.entries(charts)) {
      const before = this.#data[name] ?? { names, values: names.map(() => []), times: [] }
      const all = [...before.times, ...times]
      const first = all.findIndex((second) => second > all.at(-1) - KEPT_S)
      this.#data[name] = {
        names,
        times: all.slice(first),
        values: values.map((line, i) => [...before.values[i], ...line].slice(first)),
      }
    }
    this.#draw()
  }

  #draw() {
    for (const [name, { names, times, values }] of Object.entries(this.#data)) {
      if (times.length === 0) continue
      const figure = this.#parent.querySelector(`[data-chart="${name}"]`)
      // Lines of an executor that nobody uses are no news.
      const used = names
        .map((_, i) => i)
        .filter((i) => !isOptional(names[i]) || values[i].some((value) => value))
      figure.hidden = used.length === 0
      if (used.length === 0) continue
      const key = used.join()
      if (this.#plots.get(name)?.key !== key) this.#build(name, figure, names, used, key)
      const { plot } = this.#plots.get(name)
      plot.setData([times, ...used.map((i) => values[i])], false)
      // Not longer than there is something to show.
      const sinceS = Math.max(
        times.at(-1) - this.#minutes * MINUTE_S,
        Math.min(times[0], times.at(-1) - MINUTE_S),
      )
      plot.setScale('x', { min: sinceS, max: times.at(-1) })
      // Without a pointer on it the legend tells the newest values.
      if (plot.cursor.left >= 0) plot.setCursor({ left: plot.cursor.left, top: plot.cursor.top })
      else plot.setLegend({ idx: times.length - 1 })
    }
  }

  #build(name, figure, names, used, key) {
    this.#plots.get(name)?.plot.destroy()
    const { format, range } = CHARTS[name]
    const axis = {
      stroke: css('--dim'),
      grid: { stroke: css('--grid'), width: 1 },
      ticks: { stroke: css('--grid'), width: 1 },
    }
    const parent = figure.querySelector('.plot')
    const plot = new globalThis.uPlot(
      {
        width: parent.clientWidth,
        height: HEIGHT,
        cursor: { sync: { key: 'time' }, drag: { x: false, y: false } },
        legend: { live: true },
        scales: { y: { range: range ?? ((_, _min, max) => [0, Math.max(1, max * 1.1)]) } },
        axes: [
          { ...axis, values: (_, splits) => splits.map((second) => clockOf(second)), space: 70 },
          { ...axis, values: (_, splits) => splits.map((value) => format(value)), size: 76 },
        ],
        series: [
          { label: 'Time', value: (_, second) => (second === null ? '' : clockOf(second)) },
          ...used.map((i) => ({
            label: names[i],
            stroke: colourOf(names[i]),
            width: 1.6,
            points: { show: false },
            value: (u, value, line, at) => format(at === null ? u.data[line].at(-1) : value),
          })),
        ],
      },
      [[], ...used.map(() => [])],
      parent,
    )
    this.#plots.set(name, { plot, key })
  }

  #rebuild() {
    for (const { plot } of this.#plots.values()) plot.destroy()
    this.#plots.clear()
    this.#draw()
  }

  #resize() {
    for (const { plot } of this.#plots.values()) {
      const width = plot.root.parentElement.clientWidth
      if (width > 0 && width !== plot.width) plot.setSize({ width, height: HEIGHT })
    }
  }
}

/** A thread has the same colour in all charts. */
function colourOf(name) {
  const colours = scheme.matches ? COLOURS.dark : COLOURS.light
  if (name === 'front') return css('--text')
  if (name === 'direct') return css('--dim')
  const [, shard = 0] = /^shard (\d+)$/.exec(name) ?? [undefined, SPREAD.indexOf(name)]
  return colours[Math.max(0, shard) % colours.length]
}

const isOptional = (name) => name === 'direct' || name === 'actors'

function clockOf(second) {
  return new Date(second * 1000).toLocaleTimeString('en-GB', {
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  })
}
