import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { keepLogLine } from '../log-secrets.ts'
import { NODE } from './base-image.ts'
import type { Image } from './image.ts'

/**
 * Runs a command as its process alone: in the image's root, which it sees read-only but for /tmp, as the image's user, with
 * nothing else in its environment. The process ends with standard input: also when whoever started it was killed.
 */
const SCRIPT = `
  set -eu
  root=$1 user=$2 directory=$3
  shift 3
  mount --bind "$root" "$root"
  if [ -n "\${ENTRYPOINT_FILE:-}" ]; then mount --bind "$ENTRYPOINT_FILE" "$root/app/deploy/entrypoint.sh"; fi
  mount --bind "$NODE" "$root$NODE_THERE"
  mount -o remount,bind,ro "$root"
  mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
  mount --bind /proc "$root/proc"
  mount --bind /dev "$root/dev"
  exec 3<&0
  chroot --userspec="$user" "$root" /usr/bin/env -i --chdir="$directory" "$@" < /dev/null &
  pid=$!
  { read -r _ <&3 || true; kill -KILL "$pid"; } 2> /dev/null &
  watcher=$!
  trap : TERM
  code=0
  while kill -0 "$pid" 2> /dev/null; do
    code=0
    wait "$pid" || code=$?
  done
  kill "$watcher" 2> /dev/null || true
  exit "$code"
`

export type ContainerOptions = {
  env: Record<string, string>
  /** Instead of the image's entrypoint. */
  command?: readonly string[]
  /** A file of this machine in place of the image's entrypoint.sh. */
  entrypointFile?: string
}

/** A process as an engine would run it from the image. */
export class Container {
  stdout = ''
  stderr = ''
  readonly #child: ChildProcess
  readonly #ended: Promise<number | null>

  constructor(image: Image, { env, command, entrypointFile }: ContainerOptions) {
    const { config, root } = image
    const variables = [...config.Env, ...Object.entries(env).map(([name, value]) => `${name}=${value}`)]
    const args = [root, config.User, config.WorkingDir, ...variables, ...(command ?? config.Entrypoint)]
    this.#child = spawn(
      '/bin/sh',
      ['-c', 'exec unshare --mount /bin/sh -c "$@"', 'sh', SCRIPT, 'sh', ...args],
      {
        env: {
          PATH: process.env.PATH,
          NODE: process.execPath,
          NODE_THERE: NODE,
          ENTRYPOINT_FILE: entrypointFile,
        },
        stdio: 'pipe',
        detached: true,
      },
    )
    this.#child.stdout!.on('data', (chunk) => {
      this.stdout += chunk
    })
    this.#child.stderr!.on('data', (chunk) => {
      this.stderr += chunk
    })
    this.#ended = once(this.#child, 'close').then(([code]) => {
      for (const line of this.stdout.split('\n').filter(Boolean)) keepLogLine(line)
      return code
    })
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Its exit code, once it has ended. */
  ended(): Promise<number | null> {
    return this.#ended
  }

  /** As an engine stops it; the exit code. */
  stop(signal: string): Promise<number | null> {
    if (this.isRunning) process.kill(-this.#child.pid!, signal as NodeJS.Signals)
    return this.#ended
  }

  async kill(): Promise<void> {
    this.#child.stdin!.end()
    await this.#ended
  }
}
