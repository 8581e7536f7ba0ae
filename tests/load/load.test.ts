import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TEST_AUDIENCE, TEST_SECRET } from '../support/identity.ts'
import { startTestServer, type TestServer } from '../support/server.ts'
import { signAccounts } from './accounts.ts'

const LOAD = fileURLToPath(new URL('./load.ts', import.meta.url))
const SMALL = ['--duration', '2s', '--rate', '40', '--conversations', '4', '--members', '2']

let server: TestServer
let directory: string
beforeAll(async () => {
  server = await startTestServer({ SHARD_COUNT: '1' })
  directory = mkdtempSync(join(tmpdir(), 'catbird-load-'))
})
afterAll(async () => {
  await server.stop()
  rmSync(directory, { recursive: true })
})

type Ran = { code: number; stdout: string; stderr: string }

function run(args: string[], env: Record<string, string> = {}): Promise<Ran> {
  const own = { PATH: process.env.PATH, DATA_DIR: join(directory, 'data'), ...env }
  return new Promise((resolve) => {
    execFile(process.execPath, [LOAD, ...args], { env: own, timeout: 30_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr })
    })
  })
}

describe('npm run load', () => {
  const env = { JWT_SECRET: TEST_SECRET, SERVICE_DID: TEST_AUDIENCE }

  it('signs its own tokens, shows progress each second, and prints a report with a histogram', async () => {
    const { code, stdout, stderr } = await run(['--url', server.url, ...SMALL], env)
    expect(stderr).toMatch(/^ +1 s {2}offered \d+ +accepted \d+ +refused \d+ +errors 0 +p99 [\d.]+ m?s$/m)
    expect(stdout).toMatch(/^ {2}offered +80$/m)
    expect(stdout).toMatch(/^ {2}errors +0$/m)
    expect(stdout).toMatch(
      /^ {2}latency +p50 [\d.]+ m?s {2}p95 [\d.]+ m?s {2}p99 [\d.]+ m?s {2}max [\d.]+ m?s$/m,
    )
    expect(stdout).toMatch(/^ +[\d.]+ m?s – [\d.]+ m?s +[\d.]+ % {2}[█▏▎▍▌▋▊▉]+$/m)
    expect(code).toBe(0)
  })

  it('takes tokens from a file, prints JSON and nothing else on stdout, and draws the latencies', async () => {
    const tokens = join(directory, 'tokens')
    const svg = join(directory, 'load.svg')
    const accounts = await signAccounts({ secret: TEST_SECRET, audience: TEST_AUDIENCE }, 8, 10_000)
    writeFileSync(tokens, `${accounts.map(({ token }) => token).join('\n')}\n`)
    const args = ['--url', server.url, ...SMALL, '--tokens', tokens, '--json', '--svg', svg]
    const { stdout, code } = await run(args)
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      mode: 'mixed',
      offered: 80,
      errors: {},
      members: 2,
      rateLimits: [],
    })
    expect(readFileSync(svg, 'utf8')).toMatch(/^<svg [^>]+>[\s\S]+<\/svg>\n$/)
  })

  it.each([
    ['a wrong option', ['--mode', 'fast'], /^--mode must be one of send, .+\n[\s\S]*Usage: npm run load/],
    ['no server', ['--url', 'http://127.0.0.1:9'], /^No server answers at http:\/\/127\.0\.0\.1:9\. /],
  ])('ends with 1 and one message without a stack trace: %s', async (_, args, message) => {
    const { code, stdout, stderr } = await run(args, env)
    expect(code).toBe(1)
    expect(stderr).toMatch(message)
    expect(stderr).not.toContain('    at ')
    expect(stdout).toBe('')
  })

  it.each([
    ['no secret', [], { DATABASE_URL: 'postgres://localhost/x' }, 'JWT_SECRET is not set'],
    ['another secret', [], { ...env, JWT_SECRET: 'x'.repeat(32) }, 'BadJwtSignature'],
    ['a file that is not there', ['--tokens', '/nowhere'], {}, '--tokens: ENOENT'],
    ['a file without tokens', ['--tokens', LOAD], {}, 'line 1 is no bearer token'],
  ])('says what is wrong with its tokens: %s', async (_, args, given, message) => {
    const { code, stderr } = await run(['--url', server.url, ...args], given as Record<string, string>)
    expect(code).toBe(1)
    expect(stderr).toContain(message)
  })
})
