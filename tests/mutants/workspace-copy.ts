import { execFileSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/** Of these the copy makes its own, so that nothing computed from a mutant gets into the workspace. */
const CACHES = /^\.(cache|vite)/

/**
 * Copies the workspace as it is now, with what is not committed yet, to a temporary directory and returns its path.
 * Dependencies stay where they are; the links between the packages lead into the copy.
 */
export function copyWorkspace(root: string): string {
  const copy = realpathSync(mkdtempSync(join(tmpdir(), 'catbird-mutants-')))
  try {
    for (const file of listFiles(root)) {
      const target = join(copy, file)
      mkdirSync(dirname(target), { recursive: true })
      cpSync(join(root, file), target)
    }
    linkDependencies(root, copy)
    return copy
  } catch (error) {
    rmSync(copy, { recursive: true, force: true })
    throw error
  }
}

function listFiles(root: string): string[] {
  const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard']
  const names = execFileSync('git', args, { cwd: root, encoding: 'utf8' }).split('\0').filter(Boolean)
  return names.filter((name) => existsSync(join(root, name)))
}

function linkDependencies(root: string, copy: string): void {
  mkdirSync(join(copy, 'node_modules'))
  for (const name of readdirSync(join(root, 'node_modules'))) {
    if (!CACHES.test(name)) symlinkSync(join(root, 'node_modules', name), join(copy, 'node_modules', name))
  }
  const packages = readdirSync(join(root, 'packages')).map((name) => join('packages', name))
  for (const name of [...packages, 'tests']) {
    const modules = join(name, 'node_modules')
    // Nothing but relative links: as they are, they find the other packages in the copy.
    if (existsSync(join(root, modules))) {
      cpSync(join(root, modules), join(copy, modules), { recursive: true, verbatimSymlinks: true })
    }
  }
}
