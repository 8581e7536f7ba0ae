import { timestamp } from '@catbird/shared/clock'
import type { Nsid } from '@catbird/shared/lexicon'
import { issueTicket } from '../auth/tickets.ts'
import { requireReader } from '../queries/access.ts'
import { usingToken } from '../queries/use-token.ts'
import { BODY_LIMITS, type Method } from '../xrpc/method.ts'

const STREAM: Nsid = 'blue.catbird.mls.subscribeConvoEvents'

export const getSubscriptionTicket: Method<'blue.catbird.mls.getSubscriptionTicket'> = {
  maxBodyBytes: BODY_LIMITS.small,
  async run({ database, config }, { convoId }, { caller, tokenUse }) {
    if (convoId !== undefined) {
      await database.query('membership', (sql) => requireReader(sql, convoId, caller))
    }
    const { ticket, expiresAtMs } = await database.query('issue_ticket', (sql) =>
      usingToken(sql, tokenUse, (transaction) => issueTicket(transaction, { did: caller, convoId })),
    )
    const url = socketUrl(config.server.publicUrl, { ticket, ...(convoId !== undefined && { convoId }) })
    return { ticket, expiresAt: timestamp(expiresAtMs), url }
  },
}

/** @param publicUrl without it the address is left to the client, who knows where it has reached the server */
function socketUrl(publicUrl: string | undefined, query: Record<string, string>): string {
  const origin = publicUrl?.replace(/^http/, 'ws') ?? ''
  return `${origin}/xrpc/${STREAM}?${new URLSearchParams(query)}`
}
