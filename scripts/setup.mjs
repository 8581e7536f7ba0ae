// Plain JavaScript for Node 20: this runs before anything is installed.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const PNPM = 'pnpm@12.21.0'
/** An installation from an empty cache over a slow line. */
const LOCK_TIMEOUT_MS = 10 * 60_000

/** Installs the dependencies unless those in node_modules are the ones that the lock file asks for. */
export async function setUp(root) {
  const modules = join(root, 'node_modules')
  const stamp = join(modules, '.catbird-setup')
  const wanted = fingerprint(root)
  const isDone = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted
  if (isDone()) return
  mkdirSync(modules, { recursive: true })
  await withLock(join(modules, '.catbird-setup.lock'), () => {
    if (isDone()) return
    install(root)
    writeFileSync(stamp, wanted)
  })
}

/** Changes with everything that decides what an installation contains. */
function fingerprint(root) {
  const packages = readdirSync(join(root, 'packages')).map((name) => `packages/${name}/package.json`)
  const files = [
    'pnpm-lock.yaml',
    'pnpm-workspace.yaml',
    'package.json',
    'tests/package.json',
    ...packages.sort(),
  ]
  const hash = createHash('sha256')
  for (const file of files) {
    if (existsSync(join(root, file))) hash.update(file).update(readFileSync(join(root, file)))
  }
  return hash.digest('hex')
}

/** Its output, with warnings about the Node that starts it, is shown only when it fails. */
function install(root) {
  process.stderr.write('Installing the dependencies…\n')
  const args = ['-y', PNPM, 'install', '--frozen-lockfile']
  // CI keeps it from asking questions.
  const result = spawnSync('npx', args, {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, CI: 'true' },
    maxBuffer: 64 * 2 ** 20,
  })
  if (result.status === 0) return
  process.stderr.write(`${result.stdout ?? ''}${result.stderr ?? ''}\n`)
  const cause = result.error?.message ?? `"npx ${args.join(' ')}" failed, see above`
  throw new Error(`Installing the dependencies failed: ${cause}`)
}

async function withLock(lock, work) {
  const deadline = Date.now() + LOCK_TIMEOUT_MS
  while (!tryLock(lock)) {
    if (Date.now() > deadline)
      throw new Error(`Another set-up does not end; if there is none, remove ${lock}`)
    await sleep(200)
  }
  try {
    work()
  } finally {
    rmSync(lock, { force: true })
  }
}

function tryLock(lock) {
  try {
    writeFileSync(lock, String(process.pid), { flag: 'wx' })
    return true
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
  }
  // A set-up that was killed leaves its lock behind.
  const holder = readHolder(lock)
  if (holder && !isAlive(holder)) rmSync(lock, { force: true })
  return false
}

function readHolder(lock) {
  try {
    return Number(readFileSync(lock, 'utf8'))
  } catch {
    return undefined
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}
