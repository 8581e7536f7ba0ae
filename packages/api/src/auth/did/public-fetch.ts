import type { LookupAddress } from 'node:dns'
import { Resolver } from 'node:dns/promises'
import type { LookupFunction } from 'node:net'
import { checkUnicastPolicy, safeDispatchFetchWrap } from '@atproto-labs/fetch-node'
import ipaddr from 'ipaddr.js'

export type Fetch = (url: string, init: RequestInit) => Promise<Response>
/** All addresses of a host. Throws `NoPublicHost` when the DNS says that there is none. */
export type ResolveHost = (host: string) => Promise<LookupAddress[]>

/** There is nothing at this name that the world could reach. */
export class NoPublicHost extends Error {}

/**
 * A fetch that connects to public addresses only. The rule is applied to the very addresses that the socket is
 * given, so a name that answers differently the second time gains nothing.
 */
export function publicFetch(resolveHost: ResolveHost = resolveInDns): Fetch {
  const guarded = safeDispatchFetchWrap({
    // Addresses in place of names are not looked up, so they are checked here.
    checkUrl: checkUnicastPolicy,
    lookup: publicLookup(resolveHost),
  })
  // Hosts that strangers choose must not keep sockets open here.
  return (url, init) => guarded(url, { ...init, headers: { ...init.headers, connection: 'close' } })
}

/** The reason when a fetch failed because there is no such public host. */
export function noPublicHost(error: unknown): NoPublicHost | undefined {
  const cause = error instanceof Error ? error.cause : undefined
  return cause instanceof NoPublicHost ? cause : undefined
}

function publicLookup(resolveHost: ResolveHost): LookupFunction {
  return (host, { all, family }, callback) => {
    resolveHost(host)
      .then((found) => {
        if (!found.every(({ address }) => ipaddr.process(address).range() === 'unicast')) {
          throw new NoPublicHost('the host of the DID has an address that is not public')
        }
        return found.filter((entry) => !family || entry.family === family)
      })
      .then(
        (addresses) => {
          const [first] = addresses
          if (!first) callback(new NoPublicHost('the host of the DID has no address'), [])
          else if (all) callback(null, addresses)
          else callback(null, first.address, first.family)
        },
        (error) => callback(error, []),
      )
  }
}

/**
 * Asks the DNS without the threads that `getaddrinfo` would hold: a stranger's slow name server must not keep them
 * from the rest of the process.
 */
async function resolveInDns(host: string): Promise<LookupAddress[]> {
  const dns = new Resolver({ timeout: 1000, tries: 2 })
  const [v4, v6] = await Promise.allSettled([dns.resolve4(host), dns.resolve6(host)])
  const found: LookupAddress[] = []
  if (v4.status === 'fulfilled') found.push(...v4.value.map((address) => ({ address, family: 4 })))
  if (v6.status === 'fulfilled') found.push(...v6.value.map((address) => ({ address, family: 6 })))
  if (found.length > 0) return found
  const failure = [v4, v6].find((result) => result.status === 'rejected' && !isAbsence(result.reason))
  if (failure?.status === 'rejected') throw failure.reason
  throw new NoPublicHost('the host of the DID does not exist')
}

function isAbsence(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOTFOUND' || error.code === 'ENODATA')
}
