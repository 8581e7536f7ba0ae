import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findCommand, findOrInstall } from '../apt.ts'
import { makeBaseRoot, NODE } from './base-image.ts'
import { ROOT } from './scripts.ts'

const run = promisify(execFile)
const BUILD_MS = 5 * 60_000
const NAME = 'server-mls-server'
const WHAT_TO_DO =
  'Tests of the image need root and buildah on the PATH. On Debian: apt-get install --no-install-recommends buildah'

/** What the Dockerfile says of how to run it. */
export type ImageConfig = {
  User: string
  Env: string[]
  Entrypoint: string[]
  Cmd?: string[]
  WorkingDir: string
  StopSignal: string
  ExposedPorts: Record<string, object>
  Labels: Record<string, string>
  Healthcheck: { Test: string[]; Interval: number; Timeout: number; StartPeriod: number; Retries: number }
}

/** The image of deploy/Dockerfile, built by buildah, which needs no daemon, and unpacked. */
export class Image {
  readonly config: ImageConfig
  /** Its root directory on this machine. */
  readonly root: string
  readonly #store: string

  private constructor(config: ImageConfig, root: string, store: string) {
    this.config = config
    this.root = root
    this.#store = store
  }

  static async build(base: { name: string; nodeVersion: string }): Promise<Image> {
    await findOrInstall({ packages: ['buildah'], find: () => findCommand(['buildah']), whatToDo: WHAT_TO_DO })
    const store = await mkdtemp(join(tmpdir(), 'catbird-image-'))
    try {
      await makeBaseImage(store, base)
      await buildah(store, [
        'bud',
        '--format=docker',
        '--pull-never',
        `--volume=${process.execPath}:${NODE}:ro`,
        '--file=deploy/Dockerfile',
        `--tag=${NAME}`,
        '.',
      ])
      const { Docker } = JSON.parse(await buildah(store, ['inspect', '--type=image', NAME]))
      const container = (await buildah(store, ['from', '--pull-never', NAME])).trim()
      return new Image(Docker.config, (await buildah(store, ['mount', container])).trim(), store)
    } catch (error) {
      await rm(store, { recursive: true, force: true })
      throw error
    }
  }

  async remove(): Promise<void> {
    await rm(this.#store, { recursive: true, force: true, maxRetries: 5 })
  }
}

async function makeBaseImage(store: string, { name, nodeVersion }: { name: string; nodeVersion: string }) {
  const container = (await buildah(store, ['from', 'scratch'])).trim()
  await makeBaseRoot((await buildah(store, ['mount', container])).trim(), nodeVersion)
  await buildah(store, [
    'config',
    '--env=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    container,
  ])
  await buildah(store, ['commit', '--rm', container, `docker.io/library/${name}`])
}

/** Without namespaces and overlays of its own, which other sandboxes do not give. */
async function buildah(store: string, [command, ...args]: string[]): Promise<string> {
  const place = [`--root=${store}/root`, `--runroot=${store}/run`, '--storage-driver=vfs']
  const { stdout } = await run('buildah', [...place, command!, ...args], {
    cwd: ROOT,
    env: { ...process.env, BUILDAH_ISOLATION: 'chroot' },
    timeout: BUILD_MS,
    maxBuffer: 64 * 2 ** 20,
  })
  return stdout
}
