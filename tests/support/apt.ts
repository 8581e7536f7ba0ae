import { spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { access, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TestProject } from 'vitest/node'

/** Where a tool from outside npm is, or why there is none. */
export type Tool = { path: string; problem?: undefined } | { path?: undefined; problem: string }

type Ran = { isOk: boolean; output: string }

export type FromApt = {
  packages: readonly string[]
  /** Where it is; undefined when it is not there. */
  find: () => Promise<string | undefined>
  /** What a person without root or without apt has to do. */
  whatToDo: string
  /** Unpacks the packages there instead of installing them: no service starts, and the system stays as it is. */
  unpackTo?: string
}

const START_MS = 20_000
/** 125 MB over a slow line, and whatever another package manager does before. */
const INSTALL_MS = 10 * 60_000
const LOCKED_MS = 2000
const APT_OPTIONS = ['-q', '-y', '-o', 'Acquire::Retries=2', '-o', 'Acquire::http::Timeout=30']

/** A tool for the test files with such paths, when the run has any. Without it those fail, and the others do not. */
export async function toolFor(
  project: TestProject,
  testFile: RegExp,
  findOrInstall: () => Promise<string>,
): Promise<Tool | undefined> {
  if (!(await hasTest(project, testFile))) return undefined
  try {
    return { path: await findOrInstall() }
  } catch (error) {
    const problem = (error as Error).message
    console.error(problem)
    return { problem }
  }
}

/** The filters of a run are nowhere in the types; when they are not found, it counts as a whole run. */
async function hasTest(project: TestProject, pattern: RegExp): Promise<boolean> {
  const { filenamePattern } = project.vitest as unknown as { filenamePattern?: string[] }
  const { testFiles } = await project.globTestFiles(filenamePattern)
  return testFiles.some((path) => pattern.test(path))
}

/** Finds what Debian packages bring, or has apt bring it where that can be done. */
export async function findOrInstall(tool: FromApt): Promise<string> {
  const found = await tool.find()
  if (found) return found
  if (process.getuid?.() !== 0 || !(await run('apt-get', ['--version'], START_MS)).isOk)
    throw new Error(tool.whatToDo)
  console.error(`Installing ${tool.packages.join(', ')}…`)
  const deadlineMs = Date.now() + INSTALL_MS
  let tried = await tryInstall(tool, deadlineMs)
  // Not every lock of apt's can be waited for.
  while (!tried.isOk && isLocked(tried.output) && Date.now() + LOCKED_MS < deadlineMs) {
    await sleep(LOCKED_MS)
    tried = await tryInstall(tool, deadlineMs)
  }
  const path = await tool.find()
  if (path) return path
  throw new Error(`${tool.whatToDo}\nHere this did not work: ${lastLines(tried.output)}`)
}

/** Lists that are out of date name files that are gone; lists that cannot be had may still be good. */
async function tryInstall({ packages, unpackTo }: FromApt, deadlineMs: number): Promise<Ran> {
  const updated = await run('apt-get', [...APT_OPTIONS, 'update'], deadlineMs - Date.now())
  if (isLocked(updated.output)) return { isOk: false, output: updated.output }
  if (unpackTo) return unpack(packages, unpackTo, deadlineMs)
  const install = [...APT_OPTIONS, 'install', '--no-install-recommends', ...packages]
  return run('apt-get', install, deadlineMs - Date.now())
}

/** All or nothing, since another run may do the same at this moment. */
async function unpack(packages: readonly string[], to: string, deadlineMs: number): Promise<Ran> {
  await mkdir(dirname(to), { recursive: true })
  const directory = await mkdtemp(`${to}-`)
  try {
    const download = [...APT_OPTIONS, 'download', ...packages]
    const downloaded = await run('apt-get', download, deadlineMs - Date.now(), directory)
    if (!downloaded.isOk) return downloaded
    for (const file of await readdir(directory)) {
      const unpacked = await run('dpkg-deb', ['-x', file, '.'], deadlineMs - Date.now(), directory)
      if (!unpacked.isOk) return unpacked
      await rm(join(directory, file))
    }
    await rename(directory, to)
    return { isOk: true, output: '' }
  } catch (error) {
    return { isOk: false, output: (error as Error).message }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** The first of these commands in the directories of PATH, or in the given ones, that runs. */
export async function findCommand(
  names: readonly string[],
  directories: readonly string[] = (process.env.PATH ?? '').split(delimiter).filter(Boolean),
): Promise<string | undefined> {
  const paths = names.flatMap((name) => directories.map((directory) => join(directory, name)))
  for (const path of paths) if (await isRunnable(path)) return path
  return undefined
}

/** Some systems have a script in place of a command that only says how to install it. */
export async function isRunnable(path: string): Promise<boolean> {
  const isThere = await access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
  return isThere && (await run(path, ['--version'], START_MS)).isOk
}

function isLocked(output: string): boolean {
  return /could not get lock|unable to (lock|acquire)/i.test(output)
}

function lastLines(output: string): string {
  return output.trim().split('\n').slice(-5).join('\n')
}

/** Never rejects: what cannot be started is not OK. */
function run(command: string, args: string[], timeoutMs: number, cwd?: string): Promise<Ran> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: Math.max(1, timeoutMs),
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
    child.on('error', (error) => resolve({ isOk: false, output: error.message }))
    child.on('close', (code) => resolve({ isOk: code === 0, output }))
  })
}
