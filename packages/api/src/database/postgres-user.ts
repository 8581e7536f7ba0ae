import { execFileSync, spawnSync } from 'node:child_process'

/** The operating-system user that Postgres runs as. */
export type SystemUser = { uid: number; gid: number }

const USER = 'postgres'

/**
 * Postgres refuses to run as root, so root runs it as the system user `postgres`, made when it is missing.
 * Undefined when this process is an ordinary user: Postgres then runs as the same one.
 */
export function postgresUser(): SystemUser | undefined {
  if (process.getuid?.() !== 0) return undefined
  return lookUp() ?? create()
}

/** Whether this user may enter the directory: asked of the kernel, which knows ACLs and mounts too. */
export function canEnter(directory: string, user: SystemUser): boolean {
  const probe = spawnSync('/bin/sh', ['-c', 'cd "$1"', 'sh', directory], {
    ...user,
    cwd: '/',
    stdio: 'ignore',
  })
  return probe.status === 0
}

function lookUp(): SystemUser | undefined {
  const [uid, gid] = [spawnSync('id', ['-u', USER]), spawnSync('id', ['-g', USER])]
  if (uid.status !== 0 || gid.status !== 0) return undefined
  return { uid: Number(uid.stdout.toString()), gid: Number(gid.stdout.toString()) }
}

function create(): SystemUser {
  try {
    spawnSync('groupadd', ['--system', USER])
    execFileSync(
      'useradd',
      ['--system', '--gid', USER, '--home-dir', '/', '--shell', '/usr/sbin/nologin', USER],
      {
        stdio: 'pipe',
      },
    )
  } catch (error) {
    // Another start may have made it in the meantime.
    const user = lookUp()
    if (user) return user
    throw new Error(
      `PostgreSQL cannot run as root and making the system user "${USER}" failed: ` +
        'make it by hand, start as an ordinary user, or set DATABASE_URL',
      { cause: error },
    )
  }
  const user = lookUp()
  if (!user) throw new Error(`The system user "${USER}" was made but cannot be found`)
  return user
}
