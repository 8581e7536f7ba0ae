import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { SETTINGS } from './settings.ts'

describe('settings', () => {
  it('are all in the README, with their defaults and meaning as they are', () => {
    const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8')
    const rows = readme.split('\n').filter((line) => /^\| `[A-Z_]+` \|/.test(line))
    const expected = Object.entries(SETTINGS).map(([name, setting]) => {
      const text = 'defaultText' in setting ? setting.defaultText : undefined
      return `| \`${name}\` | ${text ?? setting.default} | ${setting.about} |`
    })
    expect(rows).toEqual(expected)
  })

  it('are all in deploy/.env.example, commented out, each with its line', () => {
    const example = readFileSync(new URL('../../../deploy/.env.example', import.meta.url), 'utf8')
    const blocks = example.trim().split('\n\n').slice(1)
    const expected = Object.entries(SETTINGS).map(([name, setting]) => {
      const text = 'defaultText' in setting ? setting.defaultText : undefined
      return `# ${setting.about}. Default: ${text ?? setting.default}\n#${name}=`
    })
    expect(blocks).toEqual(expected)
  })
})
