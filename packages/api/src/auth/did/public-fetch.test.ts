import type { LookupAddress } from 'node:dns'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DidHost } from './did-host.fixture.ts'
import { noPublicHost, publicFetch } from './public-fetch.ts'

let host: DidHost
beforeEach(async () => {
  host = await DidHost.start()
  host.publish({ secret: true })
})
afterEach(() => host.close())

const at = (...addresses: string[]): LookupAddress[] =>
  addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))

async function failureOf(url: string, addresses: LookupAddress[]): Promise<unknown> {
  return publicFetch(async () => addresses)(url, {}).then(
    () => undefined,
    (error) => error,
  )
}

describe('publicFetch', () => {
  it.each([
    ['the own machine', at('127.0.0.1')],
    ['the own machine in IPv6', at('::1')],
    ['the own machine as an IPv4 address in IPv6', at('::ffff:127.0.0.1')],
    ['the own machine behind NAT64', at('64:ff9b::7f00:1')],
    ['no machine', at('0.0.0.0')],
    ['a private network', at('10.0.0.1')],
    ['a private network in IPv6', at('fd00::1')],
    ['a cloud’s metadata service', at('169.254.169.254')],
    ['a carrier’s network', at('100.64.0.1')],
    ['a public and a private address', at('93.184.215.14', '127.0.0.1')],
    ['no address', at()],
  ])('does not connect to a name of %s', async (_what, addresses) => {
    const error = await failureOf(`http://alice.test:${host.port}/`, addresses)
    expect(noPublicHost(error)).toBeDefined()
    expect(host.asked).toEqual([])
  })

  it('does not connect to a private address that stands in the URL', async () => {
    expect(await failureOf(`http://127.0.0.1:${host.port}/`, at('93.184.215.14'))).toBeInstanceOf(Error)
    expect(await failureOf(`http://[::1]:${host.port}/`, at('93.184.215.14'))).toBeInstanceOf(Error)
    expect(host.asked).toEqual([])
  })

  it('tells a name that cannot be looked up from one that leads nowhere', async () => {
    const error = await publicFetch(async () => {
      throw new Error('SERVFAIL')
    })('http://alice.test/', {}).catch((reason) => reason)
    expect(error).toBeInstanceOf(Error)
    expect(noPublicHost(error)).toBeUndefined()
  })
})
