import { setTimeout as sleep } from 'node:timers/promises'
import { isAlive, type ProcessIdentity, sendSignal } from './process-identity.ts'

/** A fast shutdown ends sessions and writes one checkpoint. */
const FAST_SHUTDOWN_TIMEOUT_MS = 10_000
const IMMEDIATE_SHUTDOWN_TIMEOUT_MS = 5_000
const POLL_MS = 25

/** Ends a postmaster, child or not: fast shutdown, then immediate, then by force. */
export async function stopPostmaster(identity: ProcessIdentity): Promise<void> {
  const steps: [NodeJS.Signals, number][] = [
    ['SIGINT', FAST_SHUTDOWN_TIMEOUT_MS],
    ['SIGQUIT', IMMEDIATE_SHUTDOWN_TIMEOUT_MS],
    ['SIGKILL', IMMEDIATE_SHUTDOWN_TIMEOUT_MS],
  ]
  for (const [signal, timeoutMs] of steps) {
    if (!isAlive(identity)) return
    sendSignal(identity.pid, signal)
    const deadline = Date.now() + timeoutMs
    while (isAlive(identity) && Date.now() < deadline) await sleep(POLL_MS)
  }
  if (isAlive(identity)) throw new Error(`PostgreSQL (pid ${identity.pid}) does not end`)
}
