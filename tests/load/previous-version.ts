import { execFileSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A workspace with another version of the server. */
export type Version = {
  root: string
  /** For people: which it is, and why it is that one. */
  about: string
  remove(): void
}

const MAIN = 'packages/api/src/main.ts'
const CACHES = /^\.(cache|vite)/

/**
 * The version before this one, in a directory of its own: the given revision, or the newest tag that is not this
 * version itself, or what came before the newest migration. This version itself where there is none to be had.
 */
export function openPreviousVersion(root: string, revision: string | undefined): Version {
  try {
    const { name, why } =
      revision === undefined ? findPrevious(root) : { name: revision, why: 'as asked for' }
    const commit = git(root, 'rev-parse', '--short', '--verify', '--quiet', `${name}^{commit}`)
    return { ...checkOut(root, commit), about: `${commit}, ${why}` }
  } catch (error) {
    const why = (error as Error).message.split('\n')[0]
    return { root, about: `this version itself, for want of a previous one (${why})`, remove() {} }
  }
}

function findPrevious(root: string): { name: string; why: string } {
  const head = git(root, 'rev-parse', 'HEAD')
  const tags = git(root, 'tag', '--sort=-creatordate', '--merged', 'HEAD').split('\n').filter(Boolean)
  const tag = tags.find((name) => git(root, 'rev-parse', `${name}^{commit}`) !== head)
  if (tag !== undefined) return { name: tag, why: `the newest tag, ${tag}` }
  const newest = readdirSync(join(root, 'migrations'))
    .filter((name) => /^\d+_/.test(name))
    .sort()
    .at(-1)
  const added = git(root, 'log', '-1', '--diff-filter=A', '--format=%H', '--', `migrations/${newest}`)
  const why = `the last one without the migration ${newest}`
  return added === '' ? { name: 'HEAD', why } : { name: `${added}^`, why }
}

function checkOut(root: string, commit: string): Pick<Version, 'root' | 'remove'> {
  const copy = realpathSync(mkdtempSync(join(tmpdir(), 'catbird-previous-')))
  const remove = () => rmSync(copy, { recursive: true, force: true })
  try {
    const archive = join(copy, 'archive.tar')
    git(root, 'archive', '--format=tar', '-o', archive, commit)
    execFileSync('tar', ['-xf', archive, '-C', copy])
    if (!existsSync(join(copy, MAIN))) throw new Error(`${commit} has no server`)
    linkDependencies(root, copy)
    return { root: copy, remove }
  } catch (error) {
    remove()
    throw error
  }
}

/** Versions are pinned, so the dependencies that are installed serve where the same ones are asked for. */
function linkDependencies(root: string, copy: string): void {
  const packages = readdirSync(join(copy, 'packages'))
  for (const name of packages) requireSameDependencies(root, copy, join('packages', name, 'package.json'))
  mkdirSync(join(copy, 'node_modules'))
  for (const name of readdirSync(join(root, 'node_modules'))) {
    if (!CACHES.test(name)) symlinkSync(join(root, 'node_modules', name), join(copy, 'node_modules', name))
  }
  for (const name of packages) {
    const modules = join('packages', name, 'node_modules')
    // Nothing but relative links: as they are, they find the other packages in the copy.
    if (existsSync(join(root, modules))) {
      cpSync(join(root, modules), join(copy, modules), { recursive: true, verbatimSymlinks: true })
    }
  }
}

function requireSameDependencies(root: string, copy: string, path: string): void {
  const read = (directory: string): Record<string, string> =>
    JSON.parse(readFileSync(join(directory, path), 'utf8')).dependencies ?? {}
  const installed = read(root)
  for (const [name, version] of Object.entries(read(copy))) {
    if (installed[name] !== version) throw new Error(`it needs ${name} ${version}, which is not installed`)
  }
}

function git(root: string, ...args: string[]): string {
  return execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim()
}
