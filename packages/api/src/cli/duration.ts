const UNIT_MS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/**
 * Reads a time such as 90s, 15m, 24h or 7d.
 *
 * @param option that it is the value of, for the message when it is anything else
 */
export function durationMs(text: string, option: string): number {
  const [, amount, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  const ms = Number(amount) * UNIT_MS[unit as keyof typeof UNIT_MS]
  if (!(ms > 0)) throw new Error(`${option} is a time such as 90s, 15m, 24h or 7d`)
  return ms
}
