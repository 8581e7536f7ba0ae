import type { Sql } from '@catbird/shared/sql'

/** A conversation that a DID is or was a member of. */
export type Membership = {
  convoId: string
  /** Memberships in it, past ones too. */
  intervals: number
  /** A member now. */
  isMember: boolean
  /** And the only one. */
  isAlone: boolean
}

const PAGE = 200

/** All conversations that a DID is or was a member of, in id order, read page by page. */
export async function* readMemberships(sql: Sql, did: string): AsyncGenerator<Membership> {
  let after = ''
  for (;;) {
    const page = await readPage(sql, did, after)
    yield* page
    const last = page.at(-1)
    if (!last) return
    after = last.convoId
  }
}

function readPage(sql: Sql, did: string, after: string): Promise<Membership[]> {
  return sql<Membership[]>`
    with own as (
      select convo_id, count(*)::integer as intervals, bool_or(left_n is null) as is_member
      from members
      where did = ${did} and convo_id > ${after}
      group by convo_id
      order by convo_id
      limit ${PAGE}
    )
    select convo_id as "convoId", intervals, is_member as "isMember",
      is_member and not exists (
        select from members o where o.convo_id = own.convo_id and o.left_n is null and o.did <> ${did}
      ) as "isAlone"
    from own
    order by convo_id`
}
