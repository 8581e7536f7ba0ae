// Usage: node scripts/run.mjs <entry> [arguments]
// Runs an entry of this repository on a machine that has only Node 20 or later and npm: installs the
// dependencies when they are missing or out of date, then runs the entry on the Node that comes with them.
// Writes nothing to stdout. Plain JavaScript for Node 20.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { setUp } from './setup.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
/** Ctrl-C under npm arrives twice, from the terminal and from npm: the second must not count as impatience. */
const REPEAT_MS = 500

const [entry, ...args] = process.argv.slice(2)
if (!entry) fail('Usage: node scripts/run.mjs <entry> [arguments]')
await setUp(root).catch((error) => fail(error.message))
const entryPath = resolve(root, entry)
if (process.versions.node === pinnedVersion()) {
  process.argv = [process.execPath, entryPath, ...args]
  await import(pathToFileURL(entryPath).href)
} else {
  runOnPinnedNode()
}

function pinnedVersion() {
  return JSON.parse(readFileSync(join(root, 'node_modules/node/package.json'), 'utf8')).version
}

function runOnPinnedNode() {
  // A process group of its own: it hears a Ctrl-C from us alone, and once.
  const child = spawn(join(root, 'node_modules/.bin/node'), [entryPath, ...args], {
    stdio: 'inherit',
    detached: true,
  })
  const lastSent = {}
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      const now = Date.now()
      if (now - (lastSent[signal] ?? 0) < REPEAT_MS) return
      lastSent[signal] = now
      child.kill(signal)
    })
  }
  child.on('error', (error) => fail(`Cannot run the Node in node_modules: ${error.message}`))
  child.on('exit', (code, signal) => {
    if (!signal) process.exit(code)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}

function fail(message) {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}
