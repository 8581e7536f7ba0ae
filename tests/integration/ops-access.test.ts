import { once } from 'node:events'
import { request } from 'node:http'
import { describe, expect, it } from 'vitest'
import { sendRaw } from '../support/http.ts'
import { ConsoleClient, logIn, OPS_TOKEN } from '../support/ops/console-client.ts'
import { MODES, startTestServer } from '../support/server.ts'
import { useServer } from '../support/use-server.ts'

const DIRECT = MODES[2].env
const API = [
  ['GET', 'overview'],
  ['GET', 'settings'],
  ['GET', 'convo?convoId=0a'],
  ['POST', 'passivate?convoId=0a'],
  ['POST', 'drain'],
  ['DELETE', 'session'],
] as const
const FILES = ['', '/main.js', '/charts.js', '/style.css', '/icon.svg', '/uplot.js', '/uplot.css']

describe('a server without OPS_TOKEN', () => {
  const { server } = useServer(DIRECT)

  it.each(['', '/main.js', '/api/overview', '/api/session'])('has no /ops%s', async (path) => {
    const nowhere = await sendRaw(`${server().url}/nowhere`, { method: 'GET' })
    expect(nowhere.status).toBe(404)
    for (const method of ['GET', 'POST']) {
      const headers = { Authorization: `Bearer ${OPS_TOKEN}` }
      expect(await sendRaw(`${server().url}/ops${path}`, { method, headers })).toMatchObject({
        status: 404,
        body: nowhere.body,
      })
    }
  })
})

describe('who may use the console', () => {
  const { server } = useServer({ ...DIRECT, OPS_TOKEN })
  const nobody = () => new ConsoleClient(server().url, {})

  it.each(API)('keeps strangers from %s %s', async (method, path) => {
    const session = 'catbird_ops=eyJhbGciOiJub25lIn0.e30.; x=y'
    const headerSets: Record<string, string>[] = [
      {},
      { 'X-Catbird-Console': '1' },
      { 'X-Catbird-Console': '1', Cookie: session },
    ]
    for (const headers of headerSets) {
      const { status, body } = await nobody().with(headers).call(method, path)
      expect({ status, error: body.error }).toEqual({ status: 401, error: 'AuthenticationRequired' })
    }
  })

  it.each(['no token', OPS_TOKEN.slice(1), `${OPS_TOKEN}x`])('refuses the token %j', async (token) => {
    const other = await startTestServer({ ...DIRECT, OPS_TOKEN })
    try {
      const wrong = new ConsoleClient(other.url, { Authorization: `Bearer ${token}` })
      expect((await wrong.call('GET', 'overview')).status).toBe(401)
      const { status, headers } = await wrong.call('POST', 'session')
      expect(status).toBe(401)
      expect(headers.getSetCookie()).toEqual([])
    } finally {
      await other.stop()
    }
  })

  it('takes the token as a bearer token, for tools', async () => {
    const { status, headers } = await new ConsoleClient(server().url).call('GET', 'overview')
    expect(status).toBe(200)
    expect(headers.get('cache-control')).toBe('no-store')
    expect(headers.get('access-control-allow-origin')).toBeNull()
    expect(headers.getSetCookie()).toEqual([])
  })

  it('gives its page a cookie for the token that no script, other site or other path gets', async () => {
    const { headers } = await new ConsoleClient(server().url).call('POST', 'session')
    const [cookie, ...attributes] = headers.getSetCookie()[0]!.split('; ')
    expect(attributes.toSorted()).toEqual(['HttpOnly', 'Path=/ops', 'SameSite=Strict', 'Secure'])
    expect(cookie).not.toContain(OPS_TOKEN)
    const page = new ConsoleClient(server().url, { Cookie: cookie!, 'X-Catbird-Console': '1' })
    expect((await page.call('GET', 'overview')).status).toBe(200)
  })

  it('does without Secure where the server is reached by HTTP', async () => {
    const other = await startTestServer({ ...DIRECT, OPS_TOKEN, PUBLIC_URL: 'http://localhost:3000' })
    try {
      const { headers } = await new ConsoleClient(other.url).call('POST', 'session')
      expect(headers.getSetCookie()[0]).not.toContain('Secure')
    } finally {
      await other.stop()
    }
  })

  it('ends a session when its owner does, also for a copy of the cookie', async () => {
    const page = await ConsoleClient.loggedIn(server().url)
    const other = await ConsoleClient.loggedIn(server().url)
    const { status, headers } = await page.call('DELETE', 'session')
    expect(status).toBe(204)
    expect(headers.getSetCookie()[0]).toContain('Max-Age=0')
    expect((await page.call('GET', 'overview')).status).toBe(401)
    expect((await other.call('GET', 'overview')).status).toBe(200)
  })

  it('keeps sessions over a restart, and none when the token is another', async () => {
    const cookie = await logIn(server().url)
    const headers = { Cookie: cookie, 'X-Catbird-Console': '1' }
    const same = await startTestServer({ ...DIRECT, OPS_TOKEN })
    const other = await startTestServer({ ...DIRECT, OPS_TOKEN: `${OPS_TOKEN} of today` })
    try {
      expect((await new ConsoleClient(same.url, headers).call('GET', 'overview')).status).toBe(200)
      expect((await new ConsoleClient(other.url, headers).call('GET', 'overview')).status).toBe(401)
    } finally {
      await Promise.all([same.stop(), other.stop()])
    }
  })

  it.each([
    ['without the header of its page', { 'X-Catbird-Console': '' }],
    ['that another site made', { 'Sec-Fetch-Site': 'cross-site' }],
    ['that a neighbour on its domain made', { 'Sec-Fetch-Site': 'same-site' }],
    ['from another origin', { Origin: 'https://evil.example.com' }],
    ['from an origin that is none', { Origin: 'null' }],
  ])('answers nothing %s', async (_, headers) => {
    const page = (await ConsoleClient.loggedIn(server().url)).with(headers)
    for (const [method, path] of API) {
      const { status, body } = await page.call(method, path)
      expect({ path, status, error: body.error }).toEqual({ path, status: 403, error: 'Forbidden' })
    }
    expect((await (await ConsoleClient.loggedIn(server().url)).overview()).isDraining).toBe(false)
  })

  it('answers what its own page sends', async () => {
    const { host } = new URL(server().url)
    const page = (await ConsoleClient.loggedIn(server().url)).with({ Origin: `http://${host}` })
    expect((await page.call('GET', 'settings')).status).toBe(200)
    const modern = page.with({ 'Sec-Fetch-Site': 'same-origin' })
    expect((await modern.call('GET', 'settings')).status).toBe(200)
  })

  it('gives other sites no way to ask whether they may', async () => {
    const headers = {
      Origin: 'https://evil.example.com',
      'Access-Control-Request-Method': 'POST',
      'Access-Control-Request-Headers': 'x-catbird-console',
    }
    const response = await fetch(`${server().url}/ops/api/drain`, { method: 'OPTIONS', headers })
    expect(response.ok).toBe(false)
    expect(response.headers.get('access-control-allow-origin')).toBeNull()
  })

  it('writes neither the token nor a cookie to the log', async () => {
    await nobody().with({ Authorization: 'Bearer wrong-token-of-somebody' }).call('POST', 'session')
    const cookie = await logIn(server().url)
    const log = JSON.stringify(server().logs)
    expect(log).toContain('Operator console: a session began')
    expect(log).toContain('Operator console: a wrong token')
    for (const secret of [OPS_TOKEN, 'wrong-token', cookie.split('=')[1]!]) expect(log).not.toContain(secret)
  })
})

describe('guessing the token', () => {
  const { server } = useServer({ ...DIRECT, OPS_TOKEN, RATE_LIMIT_ENABLED: 'false' })

  it('is refused after ten failures of an address, unless it is right; who is in stays in', async () => {
    const page = await ConsoleClient.loggedIn(server().url)
    const wrong = new ConsoleClient(server().url, { Authorization: 'Bearer no token' })
    for (let i = 0; i < 10; i++) {
      expect((await wrong.call(i % 2 ? 'GET' : 'POST', i % 2 ? 'overview' : 'session')).status).toBe(401)
    }
    const { status, headers, body } = await wrong.call('POST', 'session')
    expect({ status, error: body.error }).toEqual({ status: 429, error: 'RateLimitExceeded' })
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
    // Strangers behind the same proxy must not keep the operator out.
    const right = new ConsoleClient(server().url)
    expect((await right.call('POST', 'session')).status).toBe(204)
    expect((await page.call('GET', 'overview')).status).toBe(200)
  })
})

describe('the page of the console', () => {
  const { server } = useServer({ ...DIRECT, OPS_TOKEN })
  const get = (path: string, headers = {}) => fetch(`${server().url}/ops${path}`, { headers })

  it.each(FILES)('serves /ops%s, which runs nothing from elsewhere and tells nothing', async (path) => {
    const response = await get(path)
    expect(response.status).toBe(200)
    const policy = response.headers.get('content-security-policy')!
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("script-src 'self'")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).not.toContain('unsafe')
    expect(response.headers.get('cross-origin-resource-policy')).toBe('same-origin')
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
    expect(response.headers.get('cache-control')).toBe('no-cache')
    expect(await response.text()).not.toContain(OPS_TOKEN)
    const again = await get(path, { 'If-None-Match': response.headers.get('etag')! })
    expect(again.status).toBe(304)
  })

  it('is found with a slash at the end as well', async () => {
    const response = await get('/')
    expect(response.redirected).toBe(true)
    expect(response.headers.get('content-type')).toContain('text/html')
  })

  it('has no script and no style in its HTML, which would not run', async () => {
    const html = await (await get('')).text()
    expect(html).not.toMatch(/<script(?![^>]*\bsrc=)/)
    expect(html).not.toMatch(/<style|\sstyle=|\son\w+=/)
  })

  it.each([
    '/ops/../ops/routes.ts',
    '/ops/page/../main.js',
    '/ops/%2e%2e/routes.ts',
    '/ops/..%2froutes.ts',
    '/ops/page/main.js',
    '/ops/console.ts',
    '/ops//etc/passwd',
    '/ops/main.js%00.css',
  ])('gives out no other file: %s', async (path) => {
    const { status, text } = await getAsIs(server().url, path)
    // A path with dots in it means what is left of it without them.
    if (path === '/ops/page/../main.js') expect(text).toBe(await (await get('/main.js')).text())
    else expect({ path, status }).toEqual({ path, status: 404 })
  })
})

/** Fetch would tidy the path up first. */
async function getAsIs(server: string, path: string): Promise<{ status: number; text: string }> {
  const { hostname: host, port } = new URL(server)
  const [response] = await once(request({ host, port, path, agent: false }).end(), 'response')
  let text = ''
  for await (const chunk of response) text += chunk
  return { status: response.statusCode, text }
}
