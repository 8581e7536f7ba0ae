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
    const service = await startService(config, log)
    stopOnSignal(async () => {
      await service.stop()
      process.exit(0)
    })
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
function stopOnSignal(stop: () => Promise<void>): void {
  let isStopping = false
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (isStopping) return
      isStopping = true
      void stop()
    })
  }
}
