/** Asks again, every 20 ms, until the condition holds; throws when it does not in time. */
export async function eventually(
  what: string,
  holds: () => boolean | Promise<boolean>,
  withinMs = 10_000,
): Promise<void> {
  const deadlineMs = Date.now() + withinMs
  while (!(await holds())) {
    if (Date.now() > deadlineMs) throw new Error(`${what} did not come about in ${withinMs} ms`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
