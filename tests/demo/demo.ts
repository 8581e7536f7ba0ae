// npm run demo [-- --url http://localhost:3000]: three real MLS clients chat through a running server.
import { randomBytes } from 'node:crypto'
import { parseArgs } from 'node:util'
import { devSecret } from '@catbird/api/auth/dev-secret'
import { runCli } from '@catbird/api/cli/run-cli'
import { loadConfig } from '@catbird/api/config'
import { TestClient } from '../support/client.ts'
import { tellStory } from './story.ts'

const USAGE = 'Usage: npm run demo [-- --url http://localhost:3000]'
const ANSWER_MS = 5000

await runCli(async () => {
  const { url, env } = readTarget()
  await requireServer(url)
  const config = loadConfig(env, 'tool')
  const secret = await devSecret(config)
  if (secret === undefined) {
    throw new Error('JWT_SECRET is not set: the demo signs its own tokens, with the secret of the server')
  }
  const signing = { secret, audience: config.auth.audiences[0]! }
  const connect = (name: string) => new TestClient(url, newDid(name), signing)
  await requireTrust(connect('visitor'), url)
  const isAgreed = await tellStory(url, connect)
  if (!isAgreed) process.exitCode = 1
})

/** The audience of the server's tokens follows from its port unless SERVICE_DID says otherwise. */
function readTarget(): { url: string; env: NodeJS.ProcessEnv } {
  const { url } = readOptions()
  if (url === undefined) {
    return { url: `http://localhost:${loadConfig(process.env, 'tool').server.port}`, env: process.env }
  }
  const parsed = URL.parse(url)
  if (!parsed || !/^https?:$/.test(parsed.protocol)) throw new Error(USAGE)
  const env = parsed.port ? { ...process.env, SERVER_PORT: parsed.port } : process.env
  return { url: parsed.origin, env }
}

function readOptions(): { url?: string } {
  try {
    return parseArgs({ options: { url: { type: 'string' } } }).values
  } catch {
    throw new Error(USAGE)
  }
}

/** A DID of its own for each run, so that runs do not meet. */
function newDid(name: string): string {
  return `did:plc:${name}-${randomBytes(4).toString('hex')}`
}

async function requireServer(url: string): Promise<void> {
  const answer = await fetch(`${url}/health`, { signal: AbortSignal.timeout(ANSWER_MS) }).catch(() => null)
  if (!answer) {
    throw new Error(
      `No server answers at ${url}. Start one in another terminal: npm start (or choose: --url)`,
    )
  }
  if (!answer.ok) throw new Error(`The server at ${url} is not well: ${url}/health answers ${answer.status}`)
}

async function requireTrust(visitor: TestClient, url: string): Promise<void> {
  const { status, body } = await visitor.call('getConvos')
  if (status === 200) return
  if (status !== 401) throw new Error(`The server at ${url} answers ${status} ${body.error}: ${body.message}`)
  throw new Error(
    `The server at ${url} does not take the demo's tokens (${body.error}). Run the demo where the server runs, ` +
      'with the same JWT_SECRET, SERVICE_DID and DATA_DIR',
  )
}
