import { describe, expect, it } from 'vitest'
import { MODES } from './operations.ts'
import { readOptions, USAGE, UsageError } from './options.ts'

const problemsOf = (...args: string[]): string => {
  try {
    readOptions(args)
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError)
    return (error as Error).message
  }
  return expect.unreachable()
}

describe('the options of a load', () => {
  it('have defaults: an open loop of mixed requests against the server of this machine', () => {
    expect(readOptions([])).toEqual({
      url: 'http://localhost:3000',
      mode: 'mixed',
      pace: { rate: 100, arrivals: 'constant', concurrency: 512 },
      durationMs: 30_000,
      retryForMs: 0,
      conversations: 100,
      members: 4,
      tokens: undefined,
      json: false,
      svg: undefined,
    })
  })

  it('make a closed loop of --concurrency without --rate, and an open one with it', () => {
    expect(readOptions(['--concurrency', '8']).pace).toMatchObject({ rate: undefined, concurrency: 8 })
    expect(readOptions(['--concurrency', '8', '--rate', '5']).pace).toMatchObject({ rate: 5, concurrency: 8 })
  })

  it.each(MODES)('know the mode %s', (mode) => {
    expect(readOptions(['--mode', mode])).toMatchObject({ mode, conversations: mode === 'hot' ? 1 : 100 })
    expect(USAGE).toContain(`${mode} (`.replace('commit (', 'commit'))
  })

  it.each([
    [['--url', 'localhost:3000'], '--url must be an http or https URL'],
    [['--url', 'http://localhost:3000/xrpc'], '--url must be an http or https URL without a path'],
    [['--mode', 'fast'], '--mode must be one of send, commit, mixed, hot, churn, streams'],
    [['--rate', '0'], '--rate must be a whole number from 1 to 100000'],
    [['--rate', '1e3'], '--rate must be'],
    [['--arrivals', 'bursts'], '--arrivals must be one of constant, poisson'],
    [['--arrivals', 'poisson', '--concurrency', '3'], '--arrivals needs --rate'],
    [['--duration', '30'], '--duration must be a time such as 90s or 10m, at most 12h'],
    [['--duration', '13h'], '--duration must be'],
    [['--retry-for', 'always'], '--retry-for must be a time'],
    [['--conversations', '-1'], "'--conversations'"],
    [['--members', '1001'], '--members must be a whole number from 1 to 1000'],
    [['--concurrency', '0'], '--concurrency must be'],
    [['--speed', '9'], "'--speed'"],
    [['fast'], "'fast'"],
  ])('%j are refused by name, with the usage', (args, problem) => {
    const message = problemsOf(...args)
    expect(message).toContain(problem)
    expect(message).toContain(USAGE)
  })

  it('that are wrong are all told at once', () => {
    const message = problemsOf('--mode', 'fast', '--rate', 'x', '--members', '0')
    for (const option of ['--mode', '--rate', '--members']) expect(message).toContain(`${option} must be`)
  })
})
