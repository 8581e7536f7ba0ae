import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** A process that a later one with the same, reused pid cannot be mistaken for. */
export type ProcessIdentity = {
  pid: number
  /** When it started, in a form that only this machine and this boot can compare. */
  startedAt: string
}

/** The living process with this pid, or undefined when there is none. */
export function identify(pid: number): ProcessIdentity | undefined {
  const startedAt = process.platform === 'linux' ? startedAtFromProc(pid) : startedAtFromPs(pid)
  return startedAt === undefined ? undefined : { pid, startedAt }
}

/** This very process. */
export function identifySelf(): ProcessIdentity {
  const self = identify(process.pid)
  if (!self) throw new Error('Cannot read the start time of this process')
  return self
}

/** Whether this very process (not another one with its pid) still runs. */
export function isAlive(identity: ProcessIdentity): boolean {
  return identify(identity.pid)?.startedAt === identity.startedAt
}

/** The command line of a living process, or undefined. */
export function commandLine(pid: number): string | undefined {
  if (process.platform !== 'linux') return ps(pid, 'args=')
  return readOrUndefined(`/proc/${pid}/cmdline`)?.replaceAll('\0', ' ')
}

/** Sends a signal and says whether there was still somebody to receive it. */
export function sendSignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error
  }
}

function startedAtFromProc(pid: number): string | undefined {
  const stat = readOrUndefined(`/proc/${pid}/stat`)
  if (!stat) return undefined
  // The second field, the name in brackets, may itself hold spaces and brackets: count from the last bracket.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [state, ticks] = [fields[0], fields[19]]
  // A zombie has ended; only its parent has not collected it yet.
  if (state === 'Z' || state === 'X') return undefined
  // Ticks count from the boot: without its id the same pid could look alive after a reboot.
  return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}/${ticks}`
}

function startedAtFromPs(pid: number): string | undefined {
  return ps(pid, 'lstart=')
}

function ps(pid: number, column: string): string | undefined {
  try {
    const text = execFileSync('ps', ['-ww', '-o', column, '-p', String(pid)], {
      encoding: 'utf8',
      env: { ...process.env, LC_ALL: 'C' },
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return text.trim() || undefined
  } catch {
    return undefined
  }
}

function readOrUndefined(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
