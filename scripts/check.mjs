// Everything that is checked without running the tests: one line for each step, the output of those that fail.
import { spawn } from 'node:child_process'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

const STEPS = {
  'format, lint, import cycles': ['node_modules/.bin/biome', 'check', '--error-on-warnings'],
  types: ['node_modules/.bin/tsc', '-p', '.'],
  'dead files, exports, dependencies': ['node_modules/.bin/knip', '--no-progress'],
  'schema.sql up to date': [process.execPath, 'packages/api/src/cli/schema.ts', '--check'],
}

const passed = await Promise.all(Object.entries(STEPS).map(([name, command]) => runStep(name, command)))
process.exitCode = passed.every(Boolean) ? 0 : 1

async function runStep(name, [command, ...args]) {
  const { code, output } = await capture(command, args)
  console.log(code === 0 ? `ok    ${name}` : `FAIL  ${name}\n${output.trimEnd()}`)
  return code === 0
}

function capture(command, args) {
  return new Promise((done) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
    child.on('error', (error) => done({ code: 1, output: error.message }))
    child.on('close', (code) => done({ code, output }))
  })
}
