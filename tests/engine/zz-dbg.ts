import { runHistory } from './run-history.ts'

const s = Number(process.argv[2])
const convo = process.argv[3]
const r = await runHistory(s, { commands: 50, failures: 2, direct: s % 2 === 1 })
console.log(r.problems, r.injected)
for (const { command: c, reply, invokedAt, repliedAt } of r.world.history)
  if (c.convoId === convo || (process.argv[4] && JSON.stringify(c).includes(process.argv[4])))
    console.log(
      invokedAt,
      repliedAt,
      c.requestId,
      c.type,
      c.caller.slice(8),
      'target' in c ? c.target : '',
      'commit' in c && c.commit ? 'commit@' + c.commit.epoch : '',
      'dids' in c ? c.dids.join() : '',
      'epoch' in c ? c.epoch : '',
      JSON.stringify((c as any).idempotency ?? ''),
      JSON.stringify((c as any).message ?? ''),
      JSON.stringify((c as any).keyPackages ?? ''),
      '→',
      reply
        ? reply.ok
          ? JSON.stringify(reply.answer).slice(0, 150)
          : reply.refusal.error + JSON.stringify(reply.refusal.details ?? '')
        : 'hang',
    )
for (const row of r.world.database.convo(convo!).log)
  console.log(
    row.n,
    row.kind,
    row.seq,
    row.epoch,
    row.sender,
    row.added,
    row.removed,
    row.entry_id.slice(-4),
    't',
    row.committedAt,
  )
