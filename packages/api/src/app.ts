import type { HttpBindings } from '@hono/node-server'
import { Hono } from 'hono'
import type { AppContext } from './context.ts'
import type { Health } from './health.ts'
import { mayReadMetrics } from './middleware/metrics-access.ts'
import { browserAccess, securityHeaders, setHeaders } from './middleware/outer-headers.ts'
import type { OpsConsole } from './ops/console.ts'
import { opsRoutes } from './ops/routes.ts'
import { serveDidDocument } from './well-known/did-document.ts'
import { frontPage } from './well-known/front-page.ts'
import { errorResponse } from './xrpc/errors.ts'
import { xrpcHandler } from './xrpc/xrpc-handler.ts'

export type AppOptions = {
  context: AppContext
  health: Health
  version: string
  renderMetrics: () => Promise<string>
  /** Undefined: there is no /ops. */
  ops: OpsConsole | undefined
}

/** Every route of the server. */
export function createApp({ context, health, version, renderMetrics, ops }: AppOptions) {
  const { config } = context
  const app = new Hono<{ Bindings: HttpBindings }>()
  const secured = setHeaders(securityHeaders(config.server.publicUrl))
  const xrpcPage = setHeaders({ 'Cache-Control': 'no-store' })
  // The methods set all their headers themselves: middleware on the way to them would double what a request costs.
  app.options('/xrpc/*', secured, xrpcPage, browserAccess())
  app.get('/xrpc/_health', secured, xrpcPage, browserAccess(), (c) => c.json({ version }))
  app.all('/xrpc/*', xrpcHandler(context))

  app.use(secured)
  app.get('/', (c) => c.text(frontPage(version)))
  app.use('/.well-known/*', browserAccess())
  app.get('/.well-known/did.json', serveDidDocument(config))
  app.get('/health', async (c) => {
    const report = await health.report()
    return c.json(report, report.status === 'unhealthy' ? 503 : 200)
  })
  app.get('/health/live', (c) => c.json({ status: 'alive' }))
  app.get('/health/ready', async (c) => {
    const report = await health.readiness()
    return c.json(report, report.ready ? 200 : 503)
  })
  app.get('/metrics', mayReadMetrics(config.metrics.token), async (c) =>
    c.body(await renderMetrics(), 200, { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' }),
  )
  if (ops) app.get('/ops/', (c) => c.redirect('/ops')).route('/ops', opsRoutes(ops))
  app.notFound((c) => c.json({ error: 'NotFound', message: 'no such page' }, 404))
  app.onError((fault, c) => {
    context.log.error({ err: fault }, 'Request failed')
    const { body, headers } = errorResponse({ error: 'InternalServerError', message: 'internal error' })
    return c.body(body, 500, { ...headers, 'Content-Type': 'application/json' })
  })
  return app
}
