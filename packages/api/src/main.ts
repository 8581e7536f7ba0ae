import { ConfigError } from '@catbird/shared/env'
import { type Config, loadConfig } from './config.ts'
import { createLogger } from './logger.ts'
import { startService } from './service.ts'

await main()

async function main(): Promise<void> {
  const config = readConfig()
  if (!config) return
  const log = createLogger(config.log.level)
  try {
    let stop = async (_code: number) => process.exit(1)
    const service = await startService(config, log, {
      onFatal: () => void stop(1),
      onDrain: () => void stop(0),
    })
    stop = once(async (code) => {
      await service.stop()
      return process.exit(code)
    })
    stopOnSignal(() => stop(0))
  } catch (error) {
    log.error({ err: error }, error instanceof Error ? error.message : 'The server cannot start')
    process.exit(1)
  }
}

function readConfig(): Config | undefined {
  try {
    return loadConfig(process.env)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    console.error(error.message)
    process.exitCode = 1
    return undefined
  }
}

/** A signal that comes again while the server drains changes nothing: a terminal and npm both send one. */
function once<A>(stop: (argument: A) => Promise<never>): (argument: A) => Promise<never> {
  let stopping: Promise<never> | undefined
  return (argument) => {
    stopping ??= stop(argument)
    return stopping
  }
}

function stopOnSignal(stop: () => Promise<never>): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void stop())
}
