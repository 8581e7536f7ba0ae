import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { TestProject } from 'vitest/node'
import { findCommand, findOrInstall, type Tool, toolFor } from '../apt.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The directory of prometheus, promtool and the node exporter; nothing in runs that need none. */
    prometheus: Tool | undefined
  }
}

const TEST_WITH_PROMETHEUS = /\/prometheus[^/]*\.test\.ts$/
const UNPACKED = fileURLToPath(new URL('../../../node_modules/.cache/debian-prometheus', import.meta.url))
const WHAT_TO_DO =
  'Tests with Prometheus need prometheus, promtool and prometheus-node-exporter in one directory, on the PATH or at ' +
  'PROMETHEUS_PATH. On Debian: apt-get install prometheus prometheus-node-exporter'

/**
 * Debian's Prometheus for the tests that need it: at PROMETHEUS_PATH, or on the PATH, or unpacked where apt can. It is
 * not installed, since the package would start it as a service.
 */
export async function providePrometheus(project: TestProject): Promise<void> {
  const prometheus = await toolFor(project, TEST_WITH_PROMETHEUS, () =>
    findOrInstall({
      packages: ['prometheus', 'prometheus-node-exporter'],
      find: findDirectory,
      whatToDo: WHAT_TO_DO,
      unpackTo: UNPACKED,
    }),
  )
  if (prometheus) project.provide('prometheus', prometheus)
}

async function findDirectory(): Promise<string | undefined> {
  const named = process.env.PROMETHEUS_PATH
  return named ? complete(named) : ((await onPath()) ?? complete(`${UNPACKED}/usr/bin`))
}

async function onPath(): Promise<string | undefined> {
  const prometheus = await findCommand(['prometheus'])
  return prometheus && complete(dirname(prometheus))
}

async function complete(directory: string): Promise<string | undefined> {
  for (const name of ['prometheus', 'promtool', 'prometheus-node-exporter'])
    if (!(await findCommand([name], [directory]))) return undefined
  return directory
}
