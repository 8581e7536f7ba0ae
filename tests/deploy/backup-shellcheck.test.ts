import { execFile } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { beforeAll, expect, it } from 'vitest'
import { findCommand, findOrInstall } from '../support/apt.ts'
import { ROOT } from '../support/deploy/scripts.ts'

const INSTALL_MS = 12 * 60_000
let shellcheck: string

beforeAll(async () => {
  shellcheck = await findOrInstall({
    packages: ['shellcheck'],
    find: () => findCommand(['shellcheck']),
    whatToDo: 'Tests of the scripts need shellcheck on the PATH. On Debian: apt-get install shellcheck',
  })
}, INSTALL_MS)

it('shellcheck has nothing to say about the scripts of deploy/, which are for any POSIX shell', async () => {
  const scripts = (await readdir(`${ROOT}deploy`)).filter((name) => name.endsWith('.sh'))
  expect(scripts).toEqual(expect.arrayContaining(['backup.sh', 'entrypoint.sh', 'restore.sh']))
  const said = await new Promise<string>((resolve) => {
    execFile(
      shellcheck,
      ['--external-sources', '--shell=sh', ...scripts],
      { cwd: `${ROOT}deploy` },
      (error, stdout, stderr) => resolve(error ? `${stdout}${stderr}` || error.message : ''),
    )
  })
  expect(said).toBe('')
})
