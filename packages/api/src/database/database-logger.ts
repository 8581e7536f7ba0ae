/** What the database code logs with; a pino logger is one. */
export type DatabaseLogger = Record<'info' | 'warn' | 'error', (details: object, message: string) => void>
