import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TestClient } from '../support/client.ts'
import { createConvo, messageFor } from '../support/convo.ts'
import { eventually } from '../support/eventually.ts'
import { ascending } from '../support/matchers.ts'
import { createTestDatabase, openSql, type TestDatabase } from '../support/postgres.ts'
import { hastened, readDeployFile } from '../support/prometheus/deploy-files.ts'
import { PrometheusProcess, SCRAPED } from '../support/prometheus/prometheus-process.ts'
import { startTestServer, type TestServer } from '../support/server.ts'
import { killShardThreads } from '../support/shard-threads.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { newDid } from '../support/use-server.ts'

const FIRING_MS = 90_000
const DRILL_MS = 3 * FIRING_MS
/** More than the thousand that the alert is about. */
const BACKLOG = 1200
const ACUTE = ['MlsServerDown', 'MlsServerUnready', 'MlsHighErrorRate', 'MlsShardDown', 'MlsMailboxBacklog']

describe('alerts, when it really happens', () => {
  let database: TestDatabase
  let sql: ReturnType<typeof openSql>
  let proxy: TcpProxy
  let server: TestServer
  let prometheus: PrometheusProcess

  beforeAll(async () => {
    database = await createTestDatabase()
    sql = openSql(database.url)
    proxy = await TcpProxy.to(database.url)
    const env = { ...SCRAPED, SHARD_COUNT: '2', ACTOR_MAILBOX_LIMIT: '5000', REQUEST_TIMEOUT_MS: '60000' }
    server = await startTestServer(env, { ...database, url: proxy.through(database.url) })
    const alerts = hastened(readDeployFile('alerts.yml'), { hold: '2s', range: '20s' })
    prometheus = await PrometheusProcess.start({ servers: [server.url], alerts })
  })
  afterAll(async () => {
    await prometheus?.stop()
    await server?.stop()
    proxy?.stop()
    await sql?.end()
    await database?.drop()
  })

  const send = (client: TestClient, convoId: string) =>
    client.call('sendMessage', { convoId, epoch: 0, ciphertext: messageFor(convoId, 0) })
  const isFiring = (name: string) => prometheus.isFiring(name)
  const isSilent = async (name: string) => !(await isFiring(name))
  const newConvo = async () => {
    const alice = server.as(newDid('alice'))
    return { alice, convoId: await createConvo(alice, { epoch: 0 }) }
  }

  it('are silent while a server in order answers', async () => {
    const { alice, convoId } = await newConvo()
    for (const _ of ascending(20)) await send(alice, convoId)
    await prometheus.looks(4)
    const firing = (await prometheus.firing()).map(({ labels }) => labels.alertname)
    expect(firing.filter((name) => ACUTE.includes(name!))).toEqual([])
  })

  it(
    'tell of a backlog while somebody holds a conversation',
    async () => {
      const { alice, convoId } = await newConvo()
      const { sent } = await sql.begin(async (transaction) => {
        await transaction`select from conversations where convo_id = ${convoId} for update`
        const sent = ascending(BACKLOG).map(() => send(alice, convoId))
        await eventually('MlsMailboxBacklog', () => isFiring('MlsMailboxBacklog'), FIRING_MS)
        return { sent }
      })
      await Promise.all(sent)
      await eventually('silence', () => isSilent('MlsMailboxBacklog'), FIRING_MS)
    },
    DRILL_MS,
  )

  it(
    'tell of a server without its database, and of what it answers',
    async () => {
      const { alice, convoId } = await newConvo()
      proxy.cut()
      await eventually(
        'MlsServerUnready and MlsHighErrorRate',
        async () => {
          const { status } = await send(alice, convoId)
          expect(status).toBe(503)
          return (await isFiring('MlsServerUnready')) && isFiring('MlsHighErrorRate')
        },
        FIRING_MS,
      )
      proxy.restore()
      await eventually('silence', () => isSilent('MlsServerUnready'), FIRING_MS)
    },
    DRILL_MS,
  )

  it(
    'tell of a shard that dies again and again',
    async () => {
      await eventually(
        'MlsShardDown and MlsShardRestarts',
        async () => {
          await killShardThreads()
          return (await isFiring('MlsShardDown')) && isFiring('MlsShardRestarts')
        },
        FIRING_MS,
      )
      const [down] = (await prometheus.firing()).filter(({ labels }) => labels.alertname === 'MlsShardDown')
      expect(down?.labels).toMatchObject({ severity: 'critical', shard: expect.stringMatching(/^[01]$/) })
      expect(down?.annotations.summary).toBe(
        `Shard ${down?.labels.shard} of ${new URL(server.url).host} is down`,
      )
      await eventually('silence', () => isSilent('MlsShardDown'), FIRING_MS)
    },
    DRILL_MS,
  )

  it(
    'tell of a server that is gone',
    async () => {
      await server.stop()
      await eventually('MlsServerDown', () => isFiring('MlsServerDown'), FIRING_MS)
    },
    DRILL_MS,
  )
})
