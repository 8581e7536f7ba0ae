/** Where something is drawn, in pixels. */
export type Box = { left: number; top: number; width: number; height: number }

/** Turns a value into pixels. */
export type Scale = (value: number) => number

type Attributes = Record<string, string | number>

export function tag(name: string, attributes: Attributes, content = ''): string {
  const list = Object.entries(attributes).map(([key, value]) => ` ${key}="${escapeXml(String(value))}"`)
  return `<${name}${list.join('')}>${content}</${name}>`
}

export function text(x: number, y: number, content: string, attributes: Attributes = {}): string {
  return tag('text', { x: round(x), y: round(y), ...attributes }, escapeXml(content))
}

export function line(x1: number, y1: number, x2: number, y2: number, attributes: Attributes): string {
  return tag('line', { x1: round(x1), y1: round(y1), x2: round(x2), y2: round(y2), ...attributes })
}

/** A line through points; undefined ones interrupt it. What stands alone becomes a dot, given round ends. */
export function path(points: readonly ([number, number] | undefined)[], attributes: Attributes): string {
  let d = ''
  let isDown = false
  for (const point of points) {
    if (point) d += `${isDown ? 'L' : 'M'}${round(point[0])} ${round(point[1])}${isDown ? '' : 'h0'}`
    isDown = point !== undefined
  }
  return tag('path', { d: d || 'M0 0', fill: 'none', ...attributes })
}

export function linear(from: number, to: number, fromPx: number, toPx: number): Scale {
  const factor = (toPx - fromPx) / (to - from || 1)
  return (value) => fromPx + (value - from) * factor
}

export function logarithmic(from: number, to: number, fromPx: number, toPx: number): Scale {
  const scale = linear(Math.log10(from), Math.log10(to), fromPx, toPx)
  return (value) => scale(Math.log10(Math.min(Math.max(value, from), to)))
}

/** 1, 2 and 5 in each decade; the decades alone when there are many. */
export function logTicks(from: number, to: number): number[] {
  const steps = Math.log10(to / from) > 3 ? [1] : [1, 2, 5]
  const ticks: number[] = []
  for (let decade = Math.floor(Math.log10(from)); decade <= Math.ceil(Math.log10(to)); decade++) {
    for (const step of steps) ticks.push(Number((step * 10 ** decade).toPrecision(1)))
  }
  return ticks.filter((tick) => tick >= from * 0.999 && tick <= to * 1.001)
}

/** About so many round numbers from 0 to the most. */
export function linearTicks(most: number, about: number): number[] {
  const rough = most / about
  const magnitude = 10 ** Math.floor(Math.log10(rough || 1))
  const step = [1, 2, 5, 10].map((factor) => factor * magnitude).find((size) => size >= rough)!
  return Array.from({ length: Math.floor(most / step + 1e-9) + 1 }, (_, i) =>
    Number((i * step).toPrecision(6)),
  )
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}

function escapeXml(content: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
  return content.replace(/[&<>"]/g, (character) => entities[character]!)
}
