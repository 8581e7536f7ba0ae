import { ConfigError } from '@catbird/shared/env'
import { describe, expect, it } from 'vitest'
import { loadConfig } from './config.ts'
import { SETTINGS } from './settings.ts'

const SERVED = { DATABASE_URL: 'postgres://u:p@db:5432/catbird', SERVICE_DID: 'did:web:mls.example.com' }

/** Of these any text will do. */
const FREE_TEXTS = new Set(['DATA_DIR', 'METRICS_TOKEN'])

function problemsOf(env: Record<string, string>): readonly string[] {
  try {
    loadConfig(env)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

describe('loadConfig', () => {
  it('runs on an embedded database for this machine alone when nothing is set', () => {
    const config = loadConfig({})
    expect(config.database.url).toBeUndefined()
    expect(config.server).toMatchObject({ port: 3000, host: '127.0.0.1' })
    expect(config.auth).toMatchObject({ audiences: ['did:web:localhost%3A3000'], jwtSecret: undefined })
    expect(config.actors).toMatchObject({ isEnabled: true, rolloutPercent: 100, mailboxLimit: 1000 })
  })

  it('listens on every address with a database of its own', () => {
    expect(loadConfig(SERVED).server.host).toBe('0.0.0.0')
  })

  it('names the port in the default audience', () => {
    expect(loadConfig({ SERVER_PORT: '8080' }).auth.audiences).toEqual(['did:web:localhost%3A8080'])
  })

  it('lists every problem at once, by name and without the value', () => {
    const problems = problemsOf({
      DATABASE_URL: 'mysql://root:hunter2@db',
      SERVER_PORT: '70000',
      JWT_SECRET: 'too short',
      ENABLE_ACTOR_SYSTEM: 'maybe',
      MLS_VALIDATION: 'lax',
      ACTOR_ROLLOUT_PERCENT: '1e2',
    })
    expect(problems.map((problem) => problem.split(' ')[0]).sort()).toEqual([
      'ACTOR_ROLLOUT_PERCENT',
      'DATABASE_URL',
      'ENABLE_ACTOR_SYSTEM',
      'JWT_SECRET',
      'MLS_VALIDATION',
      'SERVER_PORT',
    ])
    expect(problems.join()).not.toMatch(/hunter2|too short/)
  })

  it.each(Object.keys(SETTINGS).filter((name) => !FREE_TEXTS.has(name)))(
    'refuses every kind of wrong value for %s by its name',
    (name) => {
      for (const wrong of ['nonsense', '-1', '1e3', '99999999999999999999', '0x10', '1;2', '☃']) {
        const problems = problemsOf({ ...SERVED, [name]: wrong })
        expect(problems, wrong).toEqual([expect.stringMatching(`^${name} `)])
      }
    },
  )

  it.each(['☃', 'a\tb'])('refuses the METRICS_TOKEN %j, which no header can carry', (token) => {
    expect(problemsOf({ METRICS_TOKEN: token })).toEqual([expect.stringMatching(/^METRICS_TOKEN /)])
  })

  it('requires SERVICE_DID with DATABASE_URL, and says so once', () => {
    const { DATABASE_URL } = SERVED
    expect(problemsOf({ DATABASE_URL })).toEqual([expect.stringContaining('SERVICE_DID is required')])
    expect(problemsOf({ DATABASE_URL, SERVICE_DID: ' , ' })).toHaveLength(1)
    expect(problemsOf({ DATABASE_URL, SERVICE_DID: 'mls.example.com' })).toHaveLength(1)
  })

  it.each([
    ['1', true],
    ['true', true],
    ['0', false],
    ['false', false],
    ['', true],
  ])('reads the boolean %j as %s', (text, expected) => {
    expect(loadConfig({ ENABLE_ACTOR_SYSTEM: text }).actors.isEnabled).toBe(expected)
  })

  it('takes several audiences', () => {
    const config = loadConfig({
      ...SERVED,
      SERVICE_DID: 'did:web:a.example, did:plc:ewvi7nxzyoun6zhxrhs64oiz',
    })
    expect(config.auth.audiences).toEqual(['did:web:a.example', 'did:plc:ewvi7nxzyoun6zhxrhs64oiz'])
  })

  it('counts an empty variable as unset', () => {
    const empty = Object.fromEntries(Object.keys(SETTINGS).map((name) => [name, ' ']))
    expect(loadConfig(empty)).toEqual(loadConfig({}))
  })

  it('divides the resident actors among the shards', () => {
    const config = loadConfig({ SHARD_COUNT: '4', ACTOR_MAX_RESIDENT: '1000' })
    expect(config.actors.maxResidentPerShard).toBe(250)
    expect(loadConfig({ SHARD_COUNT: '4', ACTOR_MAX_RESIDENT: '1' }).actors.maxResidentPerShard).toBe(1)
  })

  it('cannot be changed', () => {
    expect(() => Object.assign(loadConfig({}).server, { port: 1 })).toThrow(TypeError)
  })
})
