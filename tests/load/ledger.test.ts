import { describe, expect, it } from 'vitest'
import { createConvo, messageFor } from '../support/convo.ts'
import { useServer } from '../support/use-server.ts'
import { stampOf } from './frame-writer.ts'
import { Ledger } from './ledger.ts'
import type { Verdict } from './operations.ts'

const { people, sql } = useServer({ ENABLE_ACTOR_SYSTEM: 'false' })

type Claim = { verdict: Verdict; seq?: number }

/** A conversation with three messages, of which a ledger was told what is claimed; what it finds, without the names. */
async function problemsAfter(
  claims: Claim[],
  damage: (convoId: string) => Promise<unknown> = async () => {},
) {
  const [alice] = people('alice')
  const convoId = await createConvo(alice, { epoch: 0 })
  const ledger = new Ledger()
  for (const { verdict, seq } of claims) {
    const ciphertext = messageFor(convoId, 0)
    if (seq !== 0) await alice.ok('sendMessage', { convoId, epoch: 0, ciphertext })
    const stamp = stampOf(Buffer.from(ciphertext.$bytes, 'base64'))
    const name = verdict === 'accepted' ? 'ok' : 'Overloaded'
    ledger.observe({ operation: 'send', verdict, name, convoId, members: 1, stamp, seq: seq || undefined })
  }
  await damage(convoId)
  const { problems, ...counts } = await ledger.check(sql())
  return {
    ...counts,
    problems: problems.map((problem) => problem.replace(/(conversation|write) \w+/g, '$1')),
  }
}

const accepted = (seq: number): Claim => ({ verdict: 'accepted', seq })
/** That never reached the server. */
const unsent = (verdict: Verdict): Claim => ({ verdict, seq: 0 })

describe('the history of a load', () => {
  it('is sound when what was acknowledged is there, what was refused is not, and the rest may be', async () => {
    const claims = [accepted(1), unsent('refused'), unsent('unknown'), { verdict: 'unknown' } as const]
    expect(await problemsAfter(claims)).toEqual({
      acknowledged: 1,
      refused: 1,
      unknown: 2,
      unknownStored: 1,
      problems: [],
    })
  })

  it.each<[string, Claim[], (convoId: string) => Promise<unknown>]>([
    [
      'acknowledged and lost: conversation, write, seq 2',
      [accepted(1), accepted(2)],
      (id) => sql()`delete from log where convo_id = ${id} and seq = 2`,
    ],
    ['acknowledged with seq 7 and stored with 1: conversation, write', [accepted(7)], async () => {}],
    ['refused and stored: conversation, write', [{ verdict: 'refused' }], async () => {}],
    [
      'stored 2 times: conversation, write',
      [accepted(1), accepted(2)],
      (id) => sql()`
        update log set bytes = (select bytes from log where convo_id = ${id} and seq = 1)
        where convo_id = ${id} and seq = 2`,
    ],
    [
      'nobody sent it: conversation, write',
      [accepted(1)],
      (id) =>
        sql()`update log set bytes = set_byte(bytes, octet_length(bytes) - 1, 0) || '\\x01' where convo_id = ${id}`,
    ],
  ])('is not sound: %s', async (problem, claims, damage) => {
    const { problems } = await problemsAfter(claims, damage)
    expect(problems).toContain(problem)
  })
})
