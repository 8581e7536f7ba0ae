import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { inject } from 'vitest'

const START_MS = 30_000
const PROMTOOL_MS = 55_000
/** Ends a program when whoever started it is gone, however that ended: its standard input ends then. */
const UNTIL_STDIN_ENDS = '"$@" & read _; kill $!; wait $!'

/** A program and where it listens, as host:port. */
export type Listening = { address: string; stop(): Promise<void> }

/** A real node exporter of this machine's disks. */
export function startNodeExporter(): Promise<Listening> {
  return startListening('prometheus-node-exporter', [
    '--collector.disable-defaults',
    '--collector.filesystem',
  ])
}

/** Starts a program of Prometheus' family on a free port; it says which. */
export function startListening(name: string, args: readonly string[]): Promise<Listening> {
  const command = [pathOf(name), '--web.listen-address=127.0.0.1:0', ...args]
  const child = spawn('sh', ['-c', UNTIL_STDIN_ENDS, 'sh', ...command], { stdio: ['pipe', 'ignore', 'pipe'] })
  const lines: string[] = []
  return new Promise((resolve, reject) => {
    const fail = (what: string) => {
      child.stdin.end()
      reject(new Error(`${name} ${what}: ${lines.slice(-5).join('\n')}`))
    }
    const timer = setTimeout(() => fail('did not start in time'), START_MS)
    child.once('exit', () => fail('ended'))
    createInterface({ input: child.stderr }).on('line', (line) => {
      lines.push(line)
      const address = /msg="Listening on" address=(\S+)/.exec(line)?.[1]
      if (!address) return
      clearTimeout(timer)
      child.removeAllListeners('exit')
      resolve({ address, stop: () => end(child) })
    })
  })
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.stdin!.end()
  await exited
}

/** Runs promtool to its end. */
export function promtool(args: readonly string[], cwd: string): { isOk: boolean; output: string } {
  const options = { cwd, encoding: 'utf8', timeout: PROMTOOL_MS } as const
  const { status, stdout, stderr } = spawnSync(pathOf('promtool'), args, options)
  return { isOk: status === 0, output: `${stdout}${stderr}` }
}

function pathOf(name: string): string {
  const { path, problem } = inject('prometheus') ?? { problem: 'nobody has looked for Prometheus' }
  if (path === undefined) throw new Error(problem)
  return join(path, name)
}
