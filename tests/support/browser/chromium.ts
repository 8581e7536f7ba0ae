import { spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  interface ProvidedContext {
    /** Where the browser is, or why there is none; nothing in runs without tests in a browser. */
    chromium: { path: string; problem?: undefined } | { path?: undefined; problem: string } | undefined
  }
}

const TEST_IN_BROWSER = /\/browser[^/]*\.test\.ts$/
const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']
const START_MS = 20_000
/** 125 MB over a slow line, and whatever another package manager does before. */
const INSTALL_MS = 10 * 60_000
const LOCKED_MS = 2000
const APT_OPTIONS = ['-q', '-y', '-o', 'Acquire::Retries=2', '-o', 'Acquire::http::Timeout=30']
const WHAT_TO_DO =
  'Tests in a browser need Chromium or Google Chrome, on the PATH or at CHROMIUM_PATH. ' +
  'On Debian: apt-get install --no-install-recommends chromium'

/**
 * Finds a Chromium for the tests in a browser, when the run has any: at CHROMIUM_PATH, or on the PATH, or by installing
 * it where apt can. Without one those tests fail, and the others do not.
 */
export async function provideChromium(project: TestProject): Promise<void> {
  if (!(await hasTestInBrowser(project))) return
  try {
    project.provide('chromium', { path: await findOrInstall() })
  } catch (error) {
    const problem = (error as Error).message
    console.error(problem)
    project.provide('chromium', { problem })
  }
}

/** The filters of a run are nowhere in the types; when they are not found, it counts as a whole run. */
async function hasTestInBrowser(project: TestProject): Promise<boolean> {
  const { filenamePattern } = project.vitest as unknown as { filenamePattern?: string[] }
  const { testFiles } = await project.globTestFiles(filenamePattern)
  return testFiles.some((path) => TEST_IN_BROWSER.test(path))
}

async function findOrInstall(): Promise<string> {
  const named = process.env.CHROMIUM_PATH
  if (!named) return (await findChromium()) ?? (await installChromium())
  if (await isRunnable(named)) return named
  throw new Error(`CHROMIUM_PATH names something that does not run. ${WHAT_TO_DO}`)
}

async function findChromium(): Promise<string | undefined> {
  const directories = (process.env.PATH ?? '').split(delimiter).filter(Boolean)
  const paths = NAMES.flatMap((name) => directories.map((directory) => join(directory, name)))
  for (const path of paths) if (await isRunnable(path)) return path
  return undefined
}

/** Some systems have a script under this name that only says how to install the browser. */
async function isRunnable(path: string): Promise<boolean> {
  const isThere = await access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
  return isThere && (await run(path, ['--version'], START_MS)).isOk
}

async function installChromium(): Promise<string> {
  if (process.getuid?.() !== 0 || !(await run('apt-get', ['--version'], START_MS)).isOk)
    throw new Error(WHAT_TO_DO)
  console.error('Installing Chromium…')
  const deadlineMs = Date.now() + INSTALL_MS
  let tried = await tryInstall(deadlineMs)
  // Not every lock of apt's can be waited for.
  while (!tried.isOk && isLocked(tried.output) && Date.now() + LOCKED_MS < deadlineMs) {
    await sleep(LOCKED_MS)
    tried = await tryInstall(deadlineMs)
  }
  const path = await findChromium()
  if (path) return path
  throw new Error(`${WHAT_TO_DO}\nHere this did not work: ${lastLines(tried.output)}`)
}

/** Lists that are out of date name files that are gone; lists that cannot be had may still be good. */
async function tryInstall(deadlineMs: number) {
  const updated = await run('apt-get', [...APT_OPTIONS, 'update'], deadlineMs - Date.now())
  if (isLocked(updated.output)) return { isOk: false, output: updated.output }
  const install = [...APT_OPTIONS, 'install', '--no-install-recommends', 'chromium']
  return run('apt-get', install, deadlineMs - Date.now())
}

function isLocked(output: string): boolean {
  return /could not get lock|unable to (lock|acquire)/i.test(output)
}

function lastLines(output: string): string {
  return output.trim().split('\n').slice(-5).join('\n')
}

/** Never rejects: what cannot be started is not OK. */
function run(command: string, args: string[], timeoutMs: number) {
  return new Promise<{ isOk: boolean; output: string }>((resolve) => {
    const child = spawn(command, args, {
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
