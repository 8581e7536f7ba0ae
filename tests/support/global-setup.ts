import { migrate } from '@catbird/api/database/migrate'
import { startTemporaryPostgres } from '@catbird/api/database/temporary-postgres'
import type { TestProject } from 'vitest/node'
import { provideChromium } from './browser/chromium.ts'
import { databaseUrl, runOnServer } from './database-server.ts'
import { providePrometheus } from './prometheus/provide.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The server on which tests make their databases. */
    databaseServer: { url: string; template?: string }
  }
}

/** What all test files share. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const [stop] = await Promise.all([
    provideDatabases(project),
    // One after the other: apt has one lock.
    provideChromium(project).then(() => providePrometheus(project)),
  ])
  return stop
}

/**
 * One PostgreSQL for the whole run, with a template database that holds the migrated schema and is cloned for each
 * test; or the one at TEST_DATABASE_URL, where each test has a schema.
 */
async function provideDatabases(project: TestProject): Promise<() => Promise<void>> {
  const external = process.env.TEST_DATABASE_URL
  if (external) {
    project.provide('databaseServer', { url: external })
    return async () => {}
  }
  const server = await openServer()
  const template = `catbird_template_${process.pid}`
  try {
    await runOnServer(server.url, `drop database if exists ${template} with (force)`)
    await runOnServer(server.url, `create database ${template}`)
    await migrate(databaseUrl(server.url, template))
  } catch (error) {
    await server.stop()
    throw error
  }
  project.provide('databaseServer', { url: server.url, template })
  return async () => {
    await runOnServer(server.url, `drop database if exists ${template} with (force)`)
    await server.stop()
  }
}

async function openServer() {
  const report = (details: object, message: string) => console.error(message, details)
  // Room for test files in parallel, each with pools of its own.
  return startTemporaryPostgres({ info: () => {}, warn: report, error: report }, { max_connections: '300' })
}
