import type { IncomingMessage } from 'node:http'
import { describe, expect, it } from 'vitest'
import { clientAddress, trustProxies } from './client-address.ts'

/** The two things of a request that its client's address depends on. */
function from(remoteAddress: string | undefined, forwarded?: string): IncomingMessage {
  const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded }
  return { headers, socket: { remoteAddress } } as unknown as IncomingMessage
}

describe('clientAddress', () => {
  const nobody = trustProxies([])
  const inside = trustProxies(['10.0.0.0/8', '2001:db8:1::/48'])

  it('is whoever connects when no proxy is trusted, whatever the header says', () => {
    expect(clientAddress(from('203.0.113.7', '198.51.100.1'), nobody)).toBe('203.0.113.7')
    expect(clientAddress(from('10.0.0.1', '198.51.100.1'), nobody)).toBe('10.0.0.1')
  })

  it('is whoever connects when that one is no trusted proxy', () => {
    expect(clientAddress(from('203.0.113.7', '198.51.100.1'), inside)).toBe('203.0.113.7')
  })

  it('is what a trusted proxy tells, not what the client told the proxy', () => {
    expect(clientAddress(from('10.0.0.1', '198.51.100.1'), inside)).toBe('198.51.100.1')
    expect(clientAddress(from('10.0.0.1', '127.0.0.1, 198.51.100.1'), inside)).toBe('198.51.100.1')
    expect(clientAddress(from('10.0.0.1', '1.2.3.4, 198.51.100.1 , 10.0.0.2'), inside)).toBe('198.51.100.1')
    expect(clientAddress(from('2001:db8:1::5', '198.51.100.1'), inside)).toBe('198.51.100.1')
  })

  it('is the proxy where the header is missing or holds no address', () => {
    expect(clientAddress(from('10.0.0.1'), inside)).toBe('10.0.0.1')
    for (const text of ['', ' , ', 'unknown', '"; drop', '1.2.3.4.5', 'x'.repeat(10_000)]) {
      expect(clientAddress(from('10.0.0.1', text), inside)).toBe('10.0.0.1')
    }
    expect(clientAddress(from('10.0.0.1', '198.51.100.1, _hidden'), inside)).toBe('10.0.0.1')
  })

  it('is the same for an IPv4 address in IPv6 clothes', () => {
    expect(clientAddress(from('::ffff:203.0.113.7'), nobody)).toBe('203.0.113.7')
    expect(clientAddress(from('::ffff:10.0.0.1', '::ffff:198.51.100.1'), inside)).toBe('198.51.100.1')
    expect(clientAddress(from('::ffff:c612:3401'), nobody)).toBe('198.18.52.1')
  })

  it('is one for a whole /64 of IPv6', () => {
    const one = clientAddress(from('2001:db8:7:8::1'), nobody)
    expect(one).toBe('2001:db8:7:8::/64')
    expect(clientAddress(from('2001:0DB8:7:8:ffff:ffff:ffff:ffff'), nobody)).toBe(one)
    expect(clientAddress(from('2001:db8:7:9::1'), nobody)).not.toBe(one)
    expect(clientAddress(from('fe80::1%eth0'), nobody)).toBe('fe80::/64')
  })

  it('is none when the connection is gone', () => {
    expect(clientAddress(from(undefined), inside)).toBe('unknown')
  })
})
