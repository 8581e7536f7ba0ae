import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { COMPOSE_TEXT, variablesIn } from '../support/deploy/compose-file.ts'
import { ROOT } from '../support/deploy/scripts.ts'

const lines = readFileSync(`${ROOT}deploy/.env.example`, 'utf8').split('\n')

it('.env.example names every variable of docker-compose.yml, and gives none a value', () => {
  const named = lines.flatMap((line) => /^#?([A-Z_]+)=/.exec(line)?.[1] ?? [])
  const wanted = new Set(variablesIn(COMPOSE_TEXT).map(({ name }) => name))
  expect([...wanted].filter((name) => !named.includes(name))).toEqual([])
  expect(lines.filter((line) => /^#?[A-Z_]+=./.test(line))).toEqual([])
})
