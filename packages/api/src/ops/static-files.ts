import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { sha256Hex } from '@catbird/shared/bytes'

/** A file of the page, as it was when the server started. */
export type StaticFile = { bytes: Uint8Array<ArrayBuffer>; type: string; etag: string }

const page = (name: string) => fileURLToPath(new URL(`./page/${name}`, import.meta.url))

const HTML = 'text/html; charset=utf-8'
const SCRIPT = 'text/javascript; charset=utf-8'
const STYLE = 'text/css; charset=utf-8'

/** Path below /ops, what it is, where it comes from. What is asked for is looked up here, never on the disk. */
const FILES = [
  ['/', HTML, page('index.html')],
  ['/style.css', STYLE, page('style.css')],
  ['/icon.svg', 'image/svg+xml', page('icon.svg')],
  ...['main', 'api', 'charts', 'convo', 'dom', 'format', 'tables'].map(
    (name) => [`/${name}.js`, SCRIPT, page(`${name}.js`)] as const,
  ),
  ['/uplot.js', SCRIPT, fileURLToPath(import.meta.resolve('uplot/dist/uPlot.iife.min.js'))],
  ['/uplot.css', STYLE, fileURLToPath(import.meta.resolve('uplot/dist/uPlot.min.css'))],
] as const

/** Reads all files of the page, its charts' library from npm among them. */
export async function readStaticFiles(): Promise<Map<string, StaticFile>> {
  const entries = FILES.map(async ([path, type, file]) => {
    const bytes = new Uint8Array(await readFile(file))
    return [path, { bytes, type, etag: `"${sha256Hex(bytes).slice(0, 32)}"` }] as const
  })
  return new Map(await Promise.all(entries))
}
