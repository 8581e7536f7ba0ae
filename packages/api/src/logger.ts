import { type Logger, pino, stdTimeFunctions } from 'pino'
import pretty from 'pino-pretty'

/** JSON lines with the level as text; pretty on a terminal. */
export function createLogger(level: string): Logger {
  const options = {
    level,
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label.toUpperCase() }) },
  }
  return process.stdout.isTTY ? pino(options, pretty({ sync: true })) : pino(options)
}
