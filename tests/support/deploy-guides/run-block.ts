import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { ROOT } from '../deploy/scripts.ts'
import type { Block } from './guide.ts'
import type { GuideServer } from './guide-server.ts'

/** Where the commands of the guides are typed. */
export type Terminal = {
  server: GuideServer
  env: Record<string, string>
  /** With an .env, in the place of deploy/. */
  deployDirectory: string
}

const TIMEOUT_MS = 30_000
const LOGS = /^docker logs (?:--?\w+ \w+ )*catbird-mls-server(?: 2>&1)?/
const IN_SERVER =
  /^docker compose (?:exec mls-server node|run --rm --entrypoint node mls-server) (packages\/.*)$/
/** Those of an .env that the guides change. */
const SETTINGS = ['ENABLE_ACTOR_SYSTEM', 'ACTOR_ROLLOUT_PERCENT']

/** Runs a block of `sh` as it stands, but for the port and for how long a load lasts. Answers what it prints. */
export function runShell({ server, env }: Terminal, block: Block): Promise<string> {
  const port = new URL(server.url).port
  const text = block.text
    .replaceAll('localhost:3000', `localhost:${port}`)
    .replace(/--duration \w+/, '--duration 1s')
    .replace(/--conversations \d+/, '--conversations 4')
  const load = text.includes('run -s load') ? text.replace(/(--mode)/, `--url ${server.url} $1`) : text
  return bash(load, ROOT, env)
}

/**
 * Runs a block of `sh docker` line by line: the log is the server's, what is run in its container is run here, and it is
 * stopped and made anew as `docker compose` does. What is about other containers is not run.
 */
export async function runDocker(terminal: Terminal, block: Block): Promise<string> {
  let output = ''
  for (const line of linesOf(block)) output += await runDockerLine(terminal, line)
  return output
}

async function runDockerLine({ server, env, deployDirectory }: Terminal, line: string): Promise<string> {
  if (LOGS.test(line)) return bash(line.replace(LOGS, `cat ${server.logFile}`), deployDirectory, env)
  const [, inServer] = IN_SERVER.exec(line) ?? []
  if (inServer !== undefined) return bash(`node ${inServer}`, ROOT, env)
  if (/^docker compose stop mls-server$/.test(line)) return `${await server.stop()}\n`
  if (/^docker compose up -d( mls-server)?$/.test(line)) {
    await bringUp(server, await settingsIn(join(deployDirectory, '.env')))
    return ''
  }
  return line.startsWith('docker ') ? '' : bash(line, deployDirectory, env)
}

/** Makes it anew when its settings have changed, and leaves it alone otherwise. */
async function bringUp(server: GuideServer, settings: Record<string, string>): Promise<void> {
  if (server.runsWith(settings)) return
  const code = await server.stop()
  if (code !== 0 && code !== null) throw new Error(`the server ended with ${code}`)
  await server.start(settings)
}

/** Of a block's commands, those that a line's end does not interrupt. */
export function linesOf({ text }: Block): string[] {
  return text
    .replaceAll('\\\n', ' ')
    .split('\n')
    .filter((line) => line !== '')
}

async function settingsIn(file: string): Promise<Record<string, string>> {
  const text = await readFile(file, 'utf8')
  const values = Array.from(text.matchAll(/^(\w+)=(.*)$/gm), ([, name, value]) => [name!, value!])
  return Object.fromEntries(values.filter(([name]) => SETTINGS.includes(name!)))
}

/** Rejects, with all that was said, when any part of it fails. */
export function bash(command: string, cwd: string, env: Record<string, string>): Promise<string> {
  return new Promise((resolve, reject) => {
    // Its input is a socket, for which it might read the start-up files of a remote shell.
    const args = ['--norc', '-e', '-u', '-o', 'pipefail', '-c', command]
    // In the image there is one Node.
    const PATH = `${dirname(process.execPath)}${delimiter}${process.env.PATH}`
    const options = { cwd, env: { ...process.env, PATH, ...env }, timeout: TIMEOUT_MS }
    execFile('bash', args, options, (error, stdout, stderr) => {
      if (error)
        reject(new Error(`${command}\nended with ${error.code ?? error.signal}:\n${stdout}${stderr}`))
      else resolve(stdout)
    })
  })
}
