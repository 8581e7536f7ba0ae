import { Counter, type Registry } from 'prom-client'

/** Counts broken promises of the database. Every rule is there from the start: an alert needs the zero. */
export function integrityCounter(registry: Registry, rules: readonly string[]): Counter<'rule'> {
  const counter = new Counter({
    name: 'epoch_integrity_violations',
    help: 'Broken promises found in the database since this server started, by rule; always 0 when well.',
    labelNames: ['rule'],
    registers: [registry],
  })
  for (const rule of rules) counter.inc({ rule }, 0)
  return counter
}
