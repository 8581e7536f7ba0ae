import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The repository's root. */
export const ROOT = fileURLToPath(new URL('../../..', import.meta.url))

export type Ran = { code: number; stdout: string; stderr: string }

/** A script of deploy/ with nothing in its environment but this. */
export type ScriptRun = { script: string; args?: readonly string[]; env: Record<string, string> }

const TIMEOUT_MS = 60_000

/** Runs it to its end, whatever that is. */
export function runScript({ script, args = [], env }: ScriptRun): Promise<Ran> {
  return new Promise((resolve, reject) => {
    execFile(
      `${ROOT}deploy/${script}`,
      args,
      { env, cwd: '/', timeout: TIMEOUT_MS },
      (error, stdout, stderr) => {
        const code = error ? error.code : 0
        if (typeof code === 'number') resolve({ code, stdout, stderr })
        else reject(error)
      },
    )
  })
}

/** Starts it in a process group of its own, which a terminal would interrupt as a whole. */
export function startScript({ script, args = [], env }: ScriptRun): ChildProcess {
  return spawn(`${ROOT}deploy/${script}`, args, { env, cwd: '/', stdio: 'ignore', detached: true })
}
