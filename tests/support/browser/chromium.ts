import type { TestProject } from 'vitest/node'
import { findCommand, findOrInstall, isRunnable, type Tool, toolFor } from '../apt.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The browser; nothing in runs without tests in a browser. */
    chromium: Tool | undefined
  }
}

const TEST_IN_BROWSER = /\/browser[^/]*\.test\.ts$/
const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']
const WHAT_TO_DO =
  'Tests in a browser need Chromium or Google Chrome, on the PATH or at CHROMIUM_PATH. ' +
  'On Debian: apt-get install --no-install-recommends chromium'

/** A Chromium for the tests in a browser: at CHROMIUM_PATH, or on the PATH, or installed where apt can. */
export async function provideChromium(project: TestProject): Promise<void> {
  const chromium = await toolFor(project, TEST_IN_BROWSER, chromiumPath)
  if (chromium) project.provide('chromium', chromium)
}

async function chromiumPath(): Promise<string> {
  const named = process.env.CHROMIUM_PATH
  if (!named)
    return findOrInstall({ packages: ['chromium'], find: () => findCommand(NAMES), whatToDo: WHAT_TO_DO })
  if (await isRunnable(named)) return named
  throw new Error(`CHROMIUM_PATH names something that does not run. ${WHAT_TO_DO}`)
}
