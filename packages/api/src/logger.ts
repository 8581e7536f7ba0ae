import { type Logger, pino, stdTimeFunctions } from 'pino'
import pretty from 'pino-pretty'

/** Errors of the database name rows and parameters, with DIDs and bytes in them: of those nothing is logged. */
export const serializers = {
  err(error: Error) {
    const {
      detail: _detail,
      where: _where,
      query: _query,
      parameters: _parameters,
      args: _args,
      ...rest
    } = pino.stdSerializers.err(error)
    return rest
  },
}

/** JSON lines with the level as text; pretty on a terminal. */
export function createLogger(level: string): Logger {
  const options = {
    level,
    serializers,
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label.toUpperCase() }) },
  }
  return process.stdout.isTTY ? pino(options, pretty({ sync: true })) : pino(options)
}
