import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import proxyaddr from 'proxy-addr'

/** Tells whether X-Forwarded-For is believed from this address. */
export type TrustedProxies = (address: string, hop: number) => boolean

/** @param networks addresses and networks, like `10.0.0.0/8`; none of them: whoever connects is the client */
export function trustProxies(networks: readonly string[]): TrustedProxies {
  return proxyaddr.compile([...networks])
}

/**
 * The address that a client is counted by: an IPv4 address, or an IPv6 network of 64 bits. A single customer or
 * machine commonly has a whole /64, so that its addresses are as many as it likes.
 *
 * X-Forwarded-For is read from right to left for as long as those who added to it are trusted: what is further
 * left anybody may have made up. An entry that is no address counts as the proxy that passed it on.
 */
export function clientAddress(incoming: IncomingMessage, trusted: TrustedProxies): string {
  const hops = proxyaddr.all(incoming, trusted)
  const address = hops.findLast((hop) => hop !== undefined && isIP(hop) !== 0)
  // The socket has lost its address: the client is gone already.
  if (address === undefined) return 'unknown'
  const parsed = ipaddr.process(address)
  return parsed.kind() === 'ipv4' ? parsed.toString() : networkOf(parsed as ipaddr.IPv6)
}

function networkOf({ parts }: ipaddr.IPv6): string {
  return `${new ipaddr.IPv6([...parts.slice(0, 4), 0, 0, 0, 0])}/64`
}
