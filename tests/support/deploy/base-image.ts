import { execFile } from 'node:child_process'
import { chmod, cp, mkdir, readdir, readFile, realpath, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { findCommand } from '../apt.ts'

const run = promisify(execFile)
/** What the Dockerfile, the entrypoint and npm need of the system; the official image has these and more. */
const COMMANDS = ['/bin/sh', '/usr/bin/env', '/usr/bin/dirname', '/usr/bin/sleep']
/** The C library's parts: which of them a program in a package from npm loads is its own affair. */
const C_LIBRARY = /^(lib(c|dl|m|pthread|resolv|rt|util)\.so\.\d+|libnss_(dns|files)\.so\.2)$/
/** Where images have Node. */
export const NODE = '/usr/local/bin/node'
const CA_FILE = '/etc/ssl/certs/ca-certificates.crt'

/**
 * Makes the root of an image that stands in for Node's official one, which no test can fetch: this Node, npm, a shell, the
 * libraries that they load, and the user "node".
 *
 * @param nodeVersion that the official image has; the Node of the tests must be the same
 */
export async function makeBaseRoot(root: string, nodeVersion: string): Promise<void> {
  if (process.versions.node !== nodeVersion) {
    throw new Error(`the Dockerfile names Node ${nodeVersion}, the tests run on ${process.versions.node}`)
  }
  for (const directory of [
    'usr/local/bin',
    'usr/local/lib/node_modules',
    'tmp',
    'dev',
    'proc',
    'sys',
    'root',
  ])
    await mkdir(join(root, directory), { recursive: true })
  await chmod(join(root, 'tmp'), 0o1777)
  // It is mounted here: copied, it would be most of what a build writes.
  await writeFile(join(root, NODE), '')
  for (const program of [process.execPath, ...COMMANDS]) await copyLibraries(program, root)
  for (const command of COMMANDS) await copyInto(root, command)
  await copyNpm(root)
  await mkdir(join(root, 'etc/ssl/certs'), { recursive: true })
  await cp(process.env.NODE_EXTRA_CA_CERTS ?? CA_FILE, join(root, CA_FILE), { dereference: true })
  await writeFile(join(root, 'root/.npmrc'), await npmSettings())
  await writeFile(
    join(root, 'etc/passwd'),
    'root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n',
  )
}

async function copyLibraries(program: string, root: string): Promise<void> {
  const { stdout } = await run('ldd', [program])
  const libraries = [...stdout.matchAll(/\/\S+/g)].map(([path]) => path)
  const directory = dirname(libraries.find((path) => basename(path) === 'libc.so.6') ?? '/lib/libc.so.6')
  const parts = (await readdir(directory)).filter((name) => C_LIBRARY.test(name))
  for (const path of [...libraries, ...parts.map((name) => join(directory, name))]) await copyInto(root, path)
}

async function copyInto(root: string, path: string): Promise<void> {
  await mkdir(join(root, dirname(path)), { recursive: true })
  await cp(path, join(root, path), { dereference: true })
}

async function copyNpm(root: string): Promise<void> {
  const found = await findCommand(['npm'])
  if (!found) throw new Error('there is no npm')
  const directory = dirname(dirname(await realpath(found)))
  if (basename(directory) !== 'npm') throw new Error(`npm is not where it usually is: ${directory}`)
  await cp(directory, join(root, 'usr/local/lib/node_modules/npm'), { recursive: true })
  for (const name of ['npm', 'npx'])
    await symlink(`../lib/node_modules/npm/bin/${name}-cli.js`, join(root, 'usr/local/bin', name))
}

/** Where this machine has its packages from. */
async function npmSettings(): Promise<string> {
  const { stdout } = await run('npm', ['config', 'get', 'registry'])
  return `registry=${stdout.trim()}\ncafile=${CA_FILE}\n`
}

/** Version of the Node package that tests and development run on. */
export async function pinnedNode(): Promise<string> {
  const manifest = createRequire(import.meta.url).resolve('../../../node_modules/node/package.json')
  return JSON.parse(await readFile(manifest, 'utf8')).version
}
