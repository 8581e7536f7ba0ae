import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createConvo } from '../support/convo.ts'
import { Scrape } from '../support/scrape.ts'
import { MODES } from '../support/server.ts'
import { useServer } from '../support/use-server.ts'

const ROOT = join(import.meta.dirname, '../..')

describe('metrics', () => {
  const { people, server } = useServer(MODES[0].env)

  it('are each looked at by a test, but for the defaults of the process', async () => {
    const [alice] = people('alice')
    await createConvo(alice)
    const { types } = await Scrape.of(server().url)
    const names = [...types.keys()].filter((name) => !/^(process|nodejs)_/.test(name))
    expect(names.length).toBeGreaterThan(20)
    const tests = globSync('{tests,packages/*/src}/**/*.test.ts', { cwd: ROOT })
      .map((file) => readFileSync(join(ROOT, file), 'utf8'))
      .join('\n')
    expect(names.filter((name) => !tests.includes(name))).toEqual([])
  })
})
