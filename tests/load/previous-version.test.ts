import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openPreviousVersion, type Version } from './previous-version.ts'

const MAIN = 'packages/api/src/main.ts'
const MANIFEST = 'packages/api/package.json'

/** A workspace as small as can be, outside any repository but its own. */
let root: string
let version: Version | undefined
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'catbird-repository-')))
  mkdirSync(join(root, 'node_modules/.pnpm'), { recursive: true })
  version = undefined
})
afterEach(() => {
  version?.remove()
  rmSync(root, { recursive: true })
})

const git = (...args: string[]) =>
  execFileSync('git', ['-c', 'user.name=test', '-c', 'user.email=test@example.com', ...args], { cwd: root })

function write(files: Record<string, string>): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), content)
  }
}

function commit(files: Record<string, string>): void {
  write(files)
  git('add', '-A')
  git('commit', '-q', '-m', 'change')
}

function twoVersions(): void {
  git('init', '-q')
  commit({ [MAIN]: 'old', [MANIFEST]: '{"dependencies":{"pg":"1.0.0"}}', 'migrations/0001_a.sql': '' })
  commit({ [MAIN]: 'between' })
  commit({ [MAIN]: 'new', 'migrations/0002_b.sql': '' })
}

const open = (revision?: string) => {
  version = openPreviousVersion(root, revision)
  return { main: readFileSync(join(version.root, MAIN), 'utf8'), about: version.about, root: version.root }
}

describe('the previous version', () => {
  it('is the last one without the newest migration, in a directory of its own that is removed again', () => {
    twoVersions()
    const previous = open()
    expect(previous).toMatchObject({ main: 'between' })
    expect(previous.about).toMatch(/^[0-9a-f]{7,}, the last one without the migration 0002_b\.sql$/)
    expect(previous.root).not.toBe(root)
    expect(existsSync(join(previous.root, 'node_modules/.pnpm'))).toBe(true)
    version!.remove()
    expect(existsSync(previous.root)).toBe(false)
  })

  it('is what was committed last when the newest migration has not been', () => {
    twoVersions()
    write({ 'migrations/0003_c.sql': '', [MAIN]: 'being written' })
    expect(open()).toMatchObject({ main: 'new' })
  })

  it('is the newest tag that is not this version itself, and what was asked for before all', () => {
    twoVersions()
    git('tag', 'v1', 'HEAD~2')
    git('tag', 'v2')
    expect(open()).toMatchObject({ main: 'old', about: expect.stringMatching(/, the newest tag, v1$/) })
    version!.remove()
    expect(open('HEAD~1')).toMatchObject({ main: 'between', about: expect.stringMatching(/, as asked for$/) })
  })

  it.each([
    ['there is no repository', () => write({ [MAIN]: 'only' })],
    [
      'the history is not there',
      () => {
        git('init', '-q')
        commit({ [MAIN]: 'only', 'migrations/0001_a.sql': '' })
      },
    ],
    [
      'it needs what is not installed',
      () => {
        twoVersions()
        write({ [MAIN]: 'only', [MANIFEST]: '{"dependencies":{"pg":"2.0.0"}}' })
      },
    ],
  ])('is this version itself, and says so, when %s', (_, prepare) => {
    prepare()
    const previous = open()
    expect(previous).toMatchObject({ main: 'only', root })
    expect(previous.about).toMatch(/^this version itself, for want of a previous one \(.+\)$/)
    version!.remove()
    expect(existsSync(root)).toBe(true)
  })
})
