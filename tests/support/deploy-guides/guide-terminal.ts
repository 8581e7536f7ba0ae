import { copyFile, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TestClient } from '../client.ts'
import { commitFor, createConvo, messageFor, SUITE } from '../convo.ts'
import { freePort } from '../deploy/free-port.ts'
import { ROOT } from '../deploy/scripts.ts'
import { TEST_SECRET } from '../identity.ts'
import { createTestDatabase, openSql, type TestDatabase } from '../postgres.ts'
import { Scrape } from '../scrape.ts'
import type { Block } from './guide.ts'
import { GuideServer } from './guide-server.ts'
import { bash, linesOf, runDocker, runShell, type Terminal } from './run-block.ts'

/** The conversation that the guides name. */
const CONVO = 'c0ffee'
const METRICS_TOKEN = 'a token that only this test knows'

/** A server to which everything has happened that the guides look for, and a terminal to type their blocks into. */
export class GuideTerminal {
  readonly database: TestDatabase
  readonly terminal: Terminal
  readonly #signing: { secret: string; audience: string }
  #section = ''

  private constructor(database: TestDatabase, terminal: Terminal, audience: string) {
    this.database = database
    this.terminal = terminal
    this.#signing = { secret: TEST_SECRET, audience }
  }

  static async open(): Promise<GuideTerminal> {
    const [database, port, directory] = await Promise.all([
      createTestDatabase(),
      freePort(),
      mkdtemp(join(tmpdir(), 'catbird-guides-')),
    ])
    const audience = `did:web:localhost%3A${port}`
    const env = {
      DATABASE_URL: database.url,
      SERVER_PORT: String(port),
      SERVICE_DID: audience,
      JWT_SECRET: TEST_SECRET,
      METRICS_TOKEN,
      RATE_LIMIT_ENABLED: 'false',
      SHARD_COUNT: '1',
      LOG_LEVEL: 'debug',
    }
    const deployDirectory = join(directory, 'deploy')
    await mkdir(join(deployDirectory, 'backups'), { recursive: true })
    const server = new GuideServer(env, join(directory, 'server.log'))
    const terminal = { server, env: { ...env }, deployDirectory }
    return new GuideTerminal(database, terminal, audience)
  }

  as(did: string): TestClient {
    return new TestClient(this.terminal.server.url, did, this.#signing)
  }

  /** In the order of the guide: each section begins with a server as it was, blocks of one rest on each other. */
  async run(block: Block): Promise<string> {
    const section = `${block.guide} ${block.section}`
    if (section !== this.#section) {
      await this.begin()
      this.#section = section
    }
    const output = await (block.about === 'docker' ? runDocker : runShell)(this.terminal, block)
    return output
  }

  /** Runs what is typed around kubectl in a copy of the manifests; answers the settings.env that it leaves. */
  async runBesideKubectl(block: Block): Promise<string> {
    const root = await mkdtemp(join(tmpdir(), 'catbird-kubernetes-'))
    try {
      await cp(`${ROOT}deploy/kubernetes`, join(root, 'deploy/kubernetes'), { recursive: true })
      const lines = linesOf(block).filter((line) => !line.startsWith('kubectl '))
      await bash(lines.join('\n'), root, {})
      return await readFile(join(root, 'deploy/kubernetes/settings.env'), 'utf8')
    } finally {
      await rm(root, { recursive: true })
    }
  }

  async scrape(): Promise<Scrape> {
    const headers = { Authorization: `Bearer ${METRICS_TOKEN}` }
    return new Scrape(await (await fetch(`${this.terminal.server.url}/metrics`, { headers })).text())
  }

  async close(): Promise<void> {
    await this.terminal.server.stop()
    await this.database.drop()
    await rm(join(this.terminal.deployDirectory, '..'), { recursive: true, force: true })
  }

  /** The settings as they come, and a server that runs with them and has lived. */
  async begin(): Promise<void> {
    const { deployDirectory, server } = this.terminal
    const env = join(deployDirectory, '.env')
    await copyFile(`${ROOT}deploy/.env.example`, env)
    await writeFile(env, `METRICS_TOKEN=${METRICS_TOKEN}\n`, { flag: 'a' })
    if (!server.runsWith({})) {
      await server.stop()
      await server.start()
    }
    if (!server.hasLostShards) await this.#live()
  }

  /** A message, commits that win, lose and come too early, a fault, shards that die. */
  async #live(): Promise<void> {
    const alice = this.as('did:plc:alice')
    const isThere = (await alice.call('getEpoch', { convoId: CONVO })).status === 200
    if (!isThere) await createConvo(alice, { groupId: CONVO, cipherSuite: SUITE, epoch: 0 })
    const { currentEpoch: epoch } = await alice.ok('getEpoch', { convoId: CONVO })
    const message = { convoId: CONVO, epoch, ciphertext: messageFor(CONVO, epoch) }
    const { headers } = await alice.call('sendMessage', message)
    this.terminal.env.REQUEST_ID = headers.get('x-request-id')!
    for (const base of [epoch, epoch, epoch + 9]) {
      await alice.call('addMembers', { convoId: CONVO, didList: [], commit: commitFor(CONVO, base) })
    }
    await this.#fault(alice)
    await this.terminal.server.endShards()
  }

  async #fault(client: TestClient): Promise<void> {
    const sql = openSql(this.database.url)
    await sql`alter table key_packages rename to gone`
    await client.call('getKeyPackages', { dids: [client.did] })
    await sql`alter table gone rename to key_packages`
    await sql.end()
  }
}
