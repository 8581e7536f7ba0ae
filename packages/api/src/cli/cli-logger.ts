import type { DatabaseLogger } from '../database/database-logger.ts'

const toStderr = (_details: object, message: string) => console.error(message)

/** For command-line tools: plain lines, on stderr since stdout is for what was asked for. */
export const cliLogger: DatabaseLogger = { info: toStderr, warn: toStderr, error: toStderr }
