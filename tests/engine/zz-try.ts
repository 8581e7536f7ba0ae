import { runHistory } from './run-history.ts'

const from = Number(process.argv[2] ?? 1),
  n = Number(process.argv[3] ?? 100)
process.on('unhandledRejection', (e) => {
  console.log('UNHANDLED', e)
})
const t = performance.now()
let bad = 0
const counts: any = {},
  outcomes: any = {},
  inj: any = {},
  db: any = {}
let cmds = 0,
  steps = 0
for (let s = from; s < from + n; s++) {
  const r = await runHistory(s, { commands: 50, failures: 2, direct: s % 2 === 1 })
  cmds += r.world.history.length
  steps += r.world.scheduler.time
  for (const i of r.injected) inj[i] = (inj[i] ?? 0) + 1
  for (const [k, v] of Object.entries(r.world.counts)) counts[k] = (counts[k] ?? 0) + v
  for (const [k, v] of Object.entries(r.world.database.counts)) db[k] = (db[k] ?? 0) + v
  for (const { command, reply } of r.world.history) {
    const k = command.type + ' ' + (reply ? (reply.ok ? 'ok' : reply.refusal.error) : 'hang')
    outcomes[k] = (outcomes[k] ?? 0) + 1
  }
  if (r.problems.length) {
    bad++
    if (bad <= Number(process.argv[4] ?? 5)) console.log('SEED', s, r.problems.slice(0, 6), r.injected)
  }
}
const dt = (performance.now() - t) / 1000
console.log({ bad, n, perSec: n / dt, cmds, steps })
console.log(outcomes, inj, counts, db)
