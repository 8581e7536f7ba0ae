import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { ROOT } from './scripts.ts'

type Mount = string

export type ComposeService = {
  image: string
  container_name?: string
  build?: { context: string; dockerfile: string }
  command?: string[]
  environment?: Record<string, string>
  ports: string[]
  volumes?: Mount[]
  networks: string[]
  depends_on?: Record<string, { condition: string }>
  healthcheck?: { test: string[] }
  stop_grace_period?: string
  restart: string
  read_only?: boolean
  tmpfs?: string[]
  cap_drop: string[]
  security_opt: string[]
  secrets?: string[]
  logging: { driver: string; options: Record<string, string> }
}

export type ComposeFile = {
  services: Record<'mls-server' | 'postgres' | 'prometheus' | 'grafana', ComposeService>
  networks: Record<string, { name: string }>
  volumes: Record<string, { name: string }>
  secrets: Record<string, { environment: string }>
}

export const COMPOSE_TEXT = readFileSync(`${ROOT}deploy/docker-compose.yml`, 'utf8')
/** Aliases and merged keys are resolved; variables are not. */
export const COMPOSE: ComposeFile = parse(COMPOSE_TEXT)

/** A variable of the file: a default after `-`, or what is said when it is missing after `?`. */
export type Variable = { name: string; operator: string | undefined; text: string }

const VARIABLE = /\$\{([A-Z_]+)(?:(:[-?])([^}]*))?\}/g

export function variablesIn(text: string): Variable[] {
  return [...text.matchAll(VARIABLE)].map(([, name, operator, rest]) => ({
    name: name!,
    operator,
    text: rest ?? '',
  }))
}

/** Puts values in place, as Compose does: missing ones that are required throw what the file says of them. */
export function interpolate(text: string, env: Record<string, string>): string {
  return text.replaceAll(VARIABLE, (_all, name: string, operator?: string, rest = '') => {
    const value = env[name]
    if (value) return value
    if (operator === ':?') throw new Error(rest)
    return rest
  })
}
