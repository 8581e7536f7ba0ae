/** Runs a command-line tool: a failure is one message on stderr and exit code 1, without a stack trace. */
export async function runCli(tool: () => Promise<void>): Promise<void> {
  try {
    await tool()
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 1
  }
}
