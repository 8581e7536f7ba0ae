import type { HttpBindings } from '@hono/node-server'
import { Hono } from 'hono'
import { describe, expect, it } from 'vitest'
import { mayReadMetrics } from './metrics-access.ts'

/** Asks from a connection of this address. */
async function statusFor(remoteAddress: string, headers: Record<string, string> = {}, token?: string) {
  const app = new Hono<{ Bindings: HttpBindings }>().get('/metrics', mayReadMetrics(token), (c) => c.text(''))
  const incoming = { headers, socket: { remoteAddress } }
  return (await app.request('/metrics', { headers }, { incoming } as unknown as HttpBindings)).status
}

describe('access to metrics', () => {
  it('is for this machine where there is no token', async () => {
    for (const here of ['127.0.0.1', '127.8.9.1', '::1', '::ffff:127.0.0.1']) {
      expect(await statusFor(here), here).toBe(200)
    }
    for (const away of ['10.0.0.1', '::ffff:10.0.0.1', '2001:db8::1', '1127.0.0.1', '']) {
      expect(await statusFor(away), away).toBe(403)
    }
  })

  it('is not for those for whom a proxy on this machine asks, whoever it says they are', async () => {
    for (const value of ['203.0.113.7', '127.0.0.1', '']) {
      expect(await statusFor('127.0.0.1', { 'x-forwarded-for': value })).toBe(403)
    }
    expect(await statusFor('127.0.0.1', { forwarded: 'for=127.0.0.1' })).toBe(403)
    expect(await statusFor('127.0.0.1', { via: '1.1 proxy' })).toBe(403)
  })

  it('cannot be had by a header', async () => {
    expect(await statusFor('10.0.0.1', { 'x-forwarded-for': '127.0.0.1' })).toBe(403)
  })

  it('is for who has the token where there is one, from wherever', async () => {
    expect(await statusFor('127.0.0.1', {}, 'word')).toBe(403)
    const headers = { authorization: 'Bearer word', 'x-forwarded-for': '203.0.113.7' }
    expect(await statusFor('10.0.0.1', headers, 'word')).toBe(200)
  })
})
