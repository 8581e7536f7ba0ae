import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { databaseUrl, runOnServer } from '../support/database-server.ts'
import { applyEdits, type Killer, type Mutant } from './mutant.ts'
import { type KillerRun, runKiller } from './run-killer.ts'
import { copyWorkspace } from './workspace-copy.ts'

/** A copy of the workspace with a database of its own, for one fault at a time. */
export class Workbench {
  readonly #copy: string
  readonly #databaseUrl: string
  readonly #removeCopy: () => void

  private constructor(copy: string, url: string) {
    this.#copy = copy
    this.#databaseUrl = url
    this.#removeCopy = () => rmSync(copy, { recursive: true, force: true })
    process.once('exit', this.#removeCopy)
  }

  /** @param serverUrl of a PostgreSQL that goes away with its databases */
  static async create(root: string, serverUrl: string, index: number): Promise<Workbench> {
    const name = `catbird_mutants_${index}`
    await runOnServer(serverUrl, `create database ${name}`)
    return new Workbench(copyWorkspace(root), databaseUrl(serverUrl, name))
  }

  run(killer: Killer): Promise<KillerRun> {
    return runKiller(this.#copy, killer, this.#databaseUrl)
  }

  async runWithFault(mutant: Mutant): Promise<KillerRun> {
    const path = join(this.#copy, mutant.file)
    const original = readFileSync(path, 'utf8')
    writeFileSync(path, applyEdits(original, mutant))
    try {
      return await this.run(mutant.killer)
    } finally {
      writeFileSync(path, original)
    }
  }

  remove(): void {
    process.off('exit', this.#removeCopy)
    this.#removeCopy()
  }
}
