import type { AuditReport } from './report.ts'

/** An audit's outcome for reading, several lines. */
export function summary({
  conversations,
  entries,
  durationMs,
  violations,
  byRule,
  first,
}: AuditReport): string {
  const scope = `${conversations} conversations, ${entries} entries, ${(durationMs / 1000).toFixed(1)} s`
  if (violations === 0) return `${scope}: no violations`
  const broken = Object.entries(byRule).filter(([, count]) => count > 0)
  return [
    `${scope}: ${violations} violations`,
    ...broken.map(([rule, count]) => `  ${rule} ${count}`),
    `The first ${first.length}:`,
    ...first.map(({ rule, convoId, detail }) => `  ${rule} ${convoId ?? '-'}: ${detail}`),
  ].join('\n')
}
