import type { ServerResponse } from 'node:http'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { DidHost, json, status } from './did-host.fixture.ts'
import { DocumentFetcher, type FetcherOptions, LOOKUP_LIMITS } from './document-fetcher.ts'
import type { DocumentPlace } from './document-place.ts'
import { publicFetch } from './public-fetch.ts'

/** Long enough for a local server however slow the machine is. */
const PATIENCE_MS = 30_000
const refused = { reason: 'identity', refusal: { error: 'InvalidToken' } }
const unavailable = { refusal: { error: 'IdentityUnavailable' } }

let host: DidHost
beforeEach(async () => {
  host = await DidHost.start()
})
afterEach(() => host.close())

const plc = (): DocumentPlace => ({ kind: 'plc', url: `${host.url}/did:plc:alice` })
const local = (): DocumentPlace => ({ kind: 'localhost', url: `${host.url}/.well-known/did.json` })
const fetcher = (limits: FetcherOptions['limits'] = {}) =>
  new DocumentFetcher({ limits: { timeoutMs: PATIENCE_MS, ...limits } })
const outcome = (promise: Promise<unknown>) => promise.catch((error) => error)

describe('DocumentFetcher', () => {
  it('gets what the directory and a host publish', async () => {
    host.publish({ id: 'did:plc:alice' })
    expect(await fetcher().get(plc())).toEqual({ id: 'did:plc:alice' })
    expect(await fetcher().get(local())).toEqual({ id: 'did:plc:alice' })
    expect(host.asked).toEqual(['/did:plc:alice', '/.well-known/did.json'])
  })

  it.each([
    ['the directory', 400, plc, refused],
    ['the directory', 404, plc, refused],
    ['the directory', 410, plc, refused],
    ['the directory', 403, plc, unavailable],
    ['the directory', 429, plc, unavailable],
    ['the directory', 500, plc, unavailable],
    ['the directory', 503, plc, unavailable],
    ['a host', 204, local, refused],
    ['a host', 403, local, refused],
    ['a host', 404, local, refused],
    ['a host', 410, local, refused],
    ['a host', 408, local, unavailable],
    ['a host', 429, local, unavailable],
    ['a host', 500, local, unavailable],
  ])('understands %s answering %i', async (_who, code, place, expected) => {
    host.answer = (response) => status(response, code)
    expect(await outcome(fetcher().get(place()))).toMatchObject(expected)
  })

  it('does not follow a redirect, least of all to a private address', async () => {
    const inner = await DidHost.start()
    inner.publish({ id: host.did })
    const location = `http://127.0.0.1:${inner.port}/.well-known/did.json`
    for (const code of [301, 302, 303, 307, 308]) {
      host.answer = (response) => status(response, code, { location })
      expect(await outcome(fetcher().get(local()))).toMatchObject(refused)
      expect(await outcome(fetcher().get(plc()))).toMatchObject(unavailable)
    }
    expect(inner.asked).toEqual([])
    await inner.close()
  })

  it.each(['with', 'without'])('stops reading a document of 10 MB %s a length', async (length) => {
    const hungUp = Promise.withResolvers<void>()
    host.answer = (response) => {
      if (length === 'with') response.setHeader('content-length', 10_000_000)
      response.on('close', () => hungUp.resolve())
      response.write(Buffer.alloc(9_999_999, ' '))
    }
    expect(await outcome(fetcher().get(local()))).toMatchObject(refused)
    await hungUp.promise
  })

  it.each([
    ['nothing', ''],
    ['HTML', '<html></html>'],
    ['half a document', '{"id":"did:plc:al'],
  ])('refuses %s in place of a document', async (_what, text) => {
    host.answer = (response) => response.end(text)
    expect(await outcome(fetcher().get(plc()))).toMatchObject(refused)
  })

  it('does not take a connection that breaks for an answer', async () => {
    host.answer = (response) => response.destroy()
    expect(await outcome(fetcher().get(plc()))).toMatchObject(unavailable)
    host.answer = (response) => {
      response.writeHead(200, { 'content-length': 1000 })
      response.write('{', () => response.destroy())
    }
    expect(await outcome(fetcher().get(plc()))).toMatchObject(unavailable)
    const place = plc()
    await host.close()
    expect(await outcome(fetcher().get(place))).toMatchObject(unavailable)
  })

  it('waits neither for a reply nor for its end beyond the deadline, and hangs up', async () => {
    const slow = {
      silent: () => {},
      dripping: (response: ServerResponse) => {
        response.writeHead(200)
        const timer = setInterval(() => response.write(' '), 5)
        response.on('close', () => clearInterval(timer))
      },
    }
    for (const answer of Object.values(slow)) {
      const hungUp = Promise.withResolvers<void>()
      host.answer = (response) => {
        response.on('close', () => hungUp.resolve())
        answer(response)
      }
      expect(await outcome(fetcher({ timeoutMs: 1000 }).get(local()))).toMatchObject(unavailable)
      await hungUp.promise
    }
  })

  it('counts the time in the queue, and leaves the queue when it is over', async () => {
    host.answer = () => {}
    const documents = fetcher({ timeoutMs: 200, maxRunning: 1, maxWaiting: 1 })
    const both = [documents.get(plc()), documents.get(plc())].map(outcome)
    expect(await outcome(documents.get(plc()))).toMatchObject(unavailable)
    for (const one of await Promise.all(both)) expect(one).toMatchObject(unavailable)

    host.publish({})
    await vi.waitFor(async () => expect(await documents.get(plc())).toEqual({}), PATIENCE_MS)
  })

  it('keeps hosts that hang apart from the directory', async () => {
    const hanging = await DidHost.start()
    hanging.answer = () => {}
    const documents = fetcher({ maxRunning: 1, maxWaiting: 0 })
    const hung = outcome(documents.get({ kind: 'web', url: `${hanging.url}/` }))
    host.publish({})
    expect(await documents.get(plc())).toEqual({})
    await hanging.close()
    await hung
  })

  it('asks the hosts of one domain eight things at once, and those of others all the while', async () => {
    const open: ServerResponse[] = []
    host.answer = (response) => open.push(response)
    const documents = new DocumentFetcher({
      limits: { timeoutMs: PATIENCE_MS, maxRunning: 5 },
      // As if every name in the world led to this host.
      fetchPublic: (_url, init) => fetch(host.url, init),
    })
    const ask = (name: string) =>
      documents.get({ kind: 'web', url: `https://${name}/.well-known/did.json` }).catch((error) => error)
    const asked = Array.from({ length: 8 }, (_, i) => ask(`a${i}.evil.test`))
    expect(await ask('b.c.evil.test')).toMatchObject(unavailable)
    expect(await ask('evil.test')).toMatchObject(unavailable)
    const other = ask('alice.test')
    for (let answered = 0; answered < 9; answered++) {
      await vi.waitFor(() => expect(open).not.toEqual([]), PATIENCE_MS)
      json(open.shift()!, {})
    }
    expect(await Promise.all([...asked, other])).toEqual(Array(9).fill({}))
    host.publish({})
    expect(await ask('evil.test')).toEqual({})
  })

  it('has the documented bounds unless told', () => {
    expect(LOOKUP_LIMITS).toEqual({
      timeoutMs: 3000,
      maxBytes: 64 * 1024,
      maxRunning: 32,
      maxWaiting: 500,
      maxPerDomain: 8,
    })
  })

  it('refuses a public host whose name leads to this machine or nowhere', async () => {
    const place: DocumentPlace = { kind: 'web', url: 'https://alice.test/.well-known/did.json' }
    for (const found of [[{ address: '127.0.0.1', family: 4 }], []]) {
      const documents = new DocumentFetcher({ fetchPublic: publicFetch(async () => found) })
      expect(await outcome(documents.get(place))).toMatchObject(refused)
    }
    const documents = new DocumentFetcher({
      fetchPublic: publicFetch(() => Promise.reject(new Error('DNS'))),
    })
    expect(await outcome(documents.get(place))).toMatchObject(unavailable)
  })
})
