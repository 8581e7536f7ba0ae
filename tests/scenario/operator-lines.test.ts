import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts'
import { ServerProcess } from '../support/server-process.ts'

const ROOT = new URL('../..', import.meta.url).pathname

let database: TestDatabase
let server: ServerProcess
let env: Record<string, string>

beforeAll(async () => {
  database = await createTestDatabase()
  const port = await freePort()
  env = {
    SERVER_PORT: String(port),
    DATABASE_URL: database.url,
    SERVICE_DID: `did:web:localhost%3A${port}`,
    JWT_SECRET: 'what the operator has set, 32 bytes',
    HOST: '0.0.0.0',
  }
  server = await ServerProcess.start(database.url, env)
})

afterAll(async () => {
  await server.end()
  await database.drop()
})

/** Types a line into a shell as it stands, but for the port. */
function typed(line: string): Promise<string> {
  const command = line.replaceAll('localhost:3000', `localhost:${env.SERVER_PORT}`)
  return new Promise((resolve, reject) => {
    const child = spawn('bash', ['-o', 'pipefail', '-c', command], {
      cwd: ROOT,
      env: { ...process.env, ...env },
    })
    let output = ''
    child.stdout.on('data', (chunk) => {
      output += chunk
    })
    child.on('error', reject)
    child.on('close', (code) =>
      code === 0 ? resolve(output) : reject(new Error(`${command} ended with ${code}: ${output}`)),
    )
  })
}

const post = (method: string, input: string, did = 'did:plc:alice') =>
  typed(
    `curl -s -X POST http://localhost:3000/xrpc/blue.catbird.mls.${method} -H "Authorization: Bearer $(npm run -s token -- ${did})" -H "Content-Type: application/json" -d '${input}'`,
  )

describe('the lines that operators type', () => {
  it('create a conversation and add a member, with snake_case keys', async () => {
    const suite = 'MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519'
    const created = JSON.parse(await post('createConvo', `{"groupId":"c0ffee","cipherSuite":"${suite}"}`))
    expect(created).toMatchObject({ id: 'c0ffee', epoch: 0 })
    const added = await post('addMembers', '{"convo_id":"c0ffee","did_list":["did:plc:test"]}')
    expect(JSON.parse(added)).toMatchObject({ success: true, newEpoch: 1 })
  })

  it('show the actor metrics and the epoch metrics', async () => {
    const actors = await typed('curl -s http://localhost:3000/metrics | grep actor_')
    expect(actors).toMatch(/^actor_spawns_total\{actor_type="conversation_actor"\} 1$/m)
    expect(actors).toMatch(/^actor_active\{shard="0"\} 1$/m)
    const epochs = await typed('curl -s http://localhost:3000/metrics | grep epoch_')
    expect(epochs).toMatch(/^epoch_increment_duration_seconds_count\{executor="actor"\} 1$/m)
    expect(epochs).toMatch(/^epoch_conflicts_total\{executor="actor",reason="commit_stale"\} 0$/m)
  })

  it('show health', async () => {
    const health = JSON.parse(await typed('curl -s http://localhost:3000/health | jq .'))
    expect(health).toMatchObject({
      status: 'healthy',
      checks: { database: 'healthy', memory: 'healthy', actors: { status: 'healthy', active_actors: 1 } },
    })
    expect(JSON.parse(await typed('curl -s http://localhost:3000/health/live'))).toEqual({ status: 'alive' })
    expect(JSON.parse(await typed('curl -s http://localhost:3000/health/ready'))).toEqual({
      ready: true,
      checks: { database: true, actors: true },
    })
  })

  it('print tokens and nothing else', async () => {
    const tokens = await typed('npm run -s token -- did:plc:load --many 3 --ttl 15m')
    expect(tokens).toMatch(/^([\w-]+\.[\w-]+\.[\w-]+\n){3}$/)
  })

  it('audit the database while the server runs', async () => {
    expect(await typed('npm run -s verify')).toMatch(/1 conversation/)
  })
})

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, () => {
      const { port } = probe.address() as { port: number }
      probe.close(() => resolve(port))
    })
  })
}
