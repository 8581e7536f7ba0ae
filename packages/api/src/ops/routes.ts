import type { HttpBindings } from '@hono/node-server'
import { type Context, Hono } from 'hono'
import { setHeaders } from '../middleware/outer-headers.ts'
import type { OpsConsole } from './console.ts'
import { DatabaseSilent, TooManyLookups } from './find-convo.ts'
import type { GateContext } from './gate.ts'

/** As long as the lexicons allow. */
const MAX_CONVO_ID = 128

/** Nothing but the files below /ops is run or asked, and nobody else may show the page or read it. */
const HEADERS = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
}

/** The console below /ops: its page for everybody, which says nothing, and what the page asks for the operator. */
export function opsRoutes(ops: OpsConsole) {
  const app = new Hono<{ Bindings: HttpBindings }>()
  app.use(setHeaders(HEADERS))
  app.route('/api', apiRoutes(ops))
  for (const path of ops.files.keys()) app.get(path, (c) => serveFile(c, ops, path))
  return app
}

function apiRoutes(ops: OpsConsole) {
  const api = new Hono<GateEnv>()
  api.use(setHeaders({ 'Cache-Control': 'no-store' }))
  api.post('/session', (c) => ops.gate.begin(c))
  api.use(ops.gate.guard)
  api.delete('/session', (c) => ops.gate.end(c))
  api.get('/overview', (c) => c.json(ops.overview(numberOf(c.req.query('after')))))
  api.get('/settings', (c) => c.json(ops.settings()))
  api.get('/convo', (c) => withConvo(c, async (convoId) => c.json(await ops.find(convoId))))
  api.post('/passivate', (c) =>
    withConvo(c, async (convoId) => {
      const outcome = await ops.passivate(convoId)
      return outcome
        ? c.json({ outcome })
        : refuse(c, 409, 'NoActor', 'this conversation has no actor by the roll-out')
    }),
  )
  api.post('/drain', (c) => {
    ops.drain()
    return c.json({ outcome: 'draining' }, 202)
  })
  return api
}

/** 0 for what is none. */
function numberOf(text = ''): number {
  return /^\d{1,12}$/.test(text) ? Number(text) : 0
}

type GateEnv = GateContext extends Context<infer Env> ? Env : never

async function withConvo(c: GateContext, answer: (convoId: string) => Promise<Response>): Promise<Response> {
  const convoId = c.req.query('convoId') ?? ''
  // PostgreSQL takes no text with a zero in it.
  if (convoId === '' || convoId.length > MAX_CONVO_ID || convoId.includes('\0')) {
    return refuse(c, 400, 'InvalidRequest', `convoId must have 1 to ${MAX_CONVO_ID} characters`)
  }
  try {
    return await answer(convoId)
  } catch (error) {
    if (error instanceof TooManyLookups) return refuse(c, 503, 'Overloaded', error.message)
    const message =
      error instanceof DatabaseSilent ? error.message : 'the database or the shard does not answer'
    return refuse(c, 503, 'Unavailable', message)
  }
}

function refuse(c: GateContext, status: 400 | 409 | 503, error: string, message: string): Response {
  return c.json({ error, message }, status)
}

function serveFile(c: Context, ops: OpsConsole, path: string): Response {
  const { bytes, type, etag } = ops.files.get(path)!
  c.header('Cache-Control', 'no-cache')
  c.header('ETag', etag)
  if (c.req.header('if-none-match') === etag) return c.body(null, 304)
  return c.body(bytes, 200, { 'Content-Type': type })
}
