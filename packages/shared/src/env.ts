/** Turns the text of a variable into its value, or throws an error that says what it must be. */
export type Parse<T> = (text: string) => T

/** One environment variable. */
export type Setting<T> = {
  parse: Parse<T>
  default: T
  /** One line for operators. */
  about: string
  /** What the default is, where the value does not tell (it is computed, or there is none). */
  defaultText?: string
}

export type Settings = Record<string, Setting<unknown>>

export type SettingValues<S extends Settings> = { [K in keyof S]: S[K] extends Setting<infer T> ? T : never }

export type Env = Record<string, string | undefined>

/** Everything that is wrong with the environment, each problem beginning with the variable's name. */
export class ConfigError extends Error {
  override name = 'ConfigError'
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(`Wrong settings:\n${problems.map((problem) => `  ${problem}`).join('\n')}`)
    this.problems = problems
  }
}

/** A variable with a default. */
export function setting<T>(parse: Parse<T>, defaultValue: T, about: string): Setting<T> {
  return { parse, default: defaultValue, about }
}

/** A variable that may be absent. */
export function optional<T>(parse: Parse<T>, about: string, defaultText: string): Setting<T | undefined> {
  return { parse, default: undefined, about, defaultText }
}

/**
 * Reads every setting. Empty counts as unset. A wrong value gives a problem and leaves the default, so that one
 * pass finds all problems. Values are never repeated in a problem: some are secrets.
 */
export function readSettings<S extends Settings>(
  settings: S,
  env: Env,
): { values: SettingValues<S>; problems: string[] } {
  const problems: string[] = []
  const read = ([name, { parse, default: defaultValue }]: [string, Setting<unknown>]) => {
    const text = env[name]?.trim()
    if (!text) return [name, defaultValue]
    try {
      return [name, parse(text)]
    } catch (error) {
      problems.push(`${name} ${error instanceof Error ? error.message : String(error)}`)
      return [name, defaultValue]
    }
  }
  const values = Object.fromEntries(Object.entries(settings).map(read)) as SettingValues<S>
  return { values, problems }
}

export function integer(min: number, max: number): Parse<number> {
  return (text) => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < min || value > max) {
      throw new Error(`must be a whole number from ${min} to ${max}`)
    }
    return value
  }
}

export const boolean: Parse<boolean> = (text) => {
  if (text === '1' || text === 'true') return true
  if (text === '0' || text === 'false') return false
  throw new Error('must be 1, true, 0 or false')
}

export function oneOf<const T extends string>(...choices: T[]): Parse<T> {
  return (text) => {
    const choice = choices.find((candidate) => candidate === text)
    if (choice === undefined) throw new Error(`must be one of ${choices.join(', ')}`)
    return choice
  }
}

/** Any text: for what only its user can judge. */
export const anyText: Parse<string> = (text) => text

/** A key or password of at least this many bytes. */
export function secret(minBytes: number): Parse<string> {
  return (text) => {
    if (Buffer.byteLength(text) < minBytes) throw new Error(`must be at least ${minBytes} bytes long`)
    return text
  }
}

/** A list with commas between; spaces around an item and empty items do not count. */
export function list<T>(parse: Parse<T>): Parse<T[]> {
  return (text) => {
    const items = text.split(',').map((item) => item.trim())
    return items.filter((item) => item !== '').map(parse)
  }
}
