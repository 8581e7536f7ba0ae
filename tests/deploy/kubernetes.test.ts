import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { loadConfig } from '@catbird/api/config'
import { SETTINGS } from '@catbird/api/settings'
import { describe, expect, it } from 'vitest'
import {
  DEPLOYMENT,
  DIRECTORY,
  KUSTOMIZATION,
  manifestFault,
  readEnvs,
  SERVICE,
} from '../support/deploy/manifests.ts'
import { useServer } from '../support/use-server.ts'

const POD = DEPLOYMENT.spec!.template.spec!
const [CONTAINER] = POD.containers as [(typeof POD.containers)[number]]
const { startupProbe, livenessProbe, readinessProbe } = CONTAINER
/** A server waits this long for another one's migration. */
const MIGRATION_S = 60

describe('the manifests', () => {
  it.each([
    ['deployment.yaml', DEPLOYMENT],
    ['service.yaml', SERVICE],
  ] as const)('%s is one that Kubernetes takes', (_file, manifest) => {
    expect(manifestFault(manifest)).toBeUndefined()
    expect(manifestFault({ ...manifest, spec: { ...manifest.spec, replicaz: 1 } } as never)).toMatch(
      /does not know/,
    )
    expect(
      manifestFault({ ...manifest, spec: { ...manifest.spec, replicas: 'one', ports: 'http' } } as never),
    ).toMatch(/spec\/(replicas|ports) must be/)
  })

  it('are all in the kustomization, with what they refer to', () => {
    expect(KUSTOMIZATION.resources).toEqual(['deployment.yaml', 'service.yaml'])
    const { configMapGenerator, secretGenerator, images } = KUSTOMIZATION
    expect(CONTAINER.envFrom).toEqual([
      ...configMapGenerator.map(({ name }) => ({ configMapRef: { name } })),
      ...secretGenerator.map(({ name }) => ({ secretRef: { name } })),
    ])
    expect(images.map(({ name }) => name)).toEqual([CONTAINER.image])
    expect(CONTAINER.image).toBe('server-mls-server')
  })

  it('have no secrets: the file with them is not there, and never committed', () => {
    expect(KUSTOMIZATION.secretGenerator.flatMap(({ envs }) => envs)).toEqual(['secrets.env'])
    const ignored = spawnSync('git', ['check-ignore', '-q', '--no-index', 'secrets.env'], { cwd: DIRECTORY })
    expect(ignored.status).toBe(0)
    expect(existsSync(`${DIRECTORY}secrets.env.example`)).toBe(true)
    expect(Object.values(readEnvs('secrets.env.example'))).toEqual(['', ''])
    expect(CONTAINER.env).toBeUndefined()
  })

  it('set what the server reads, and ask for all that it needs', () => {
    const settings = readEnvs('settings.env')
    const secrets = readEnvs('secrets.env.example')
    const names = [...Object.keys(settings), ...Object.keys(secrets)]
    expect(names.filter((name) => !(name in SETTINGS))).toEqual([])
    expect(() => loadConfig({ ...settings, ...secrets, DATABASE_URL: 'postgres://db/catbird' })).toThrow(
      'SERVICE_DID',
    )
    const set = { SERVICE_DID: 'did:web:mls.example.com', DATABASE_URL: 'postgres://db/catbird' }
    expect(loadConfig({ ...settings, ...secrets, ...set }).shards.count).toBe(2)
  })

  it('roll out one server, the next one ready before the last one drains', () => {
    expect(DEPLOYMENT.spec).toMatchObject({
      replicas: 1,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
    })
  })

  it('let the server drain for as long as it may', () => {
    const [command, seconds] = CONTAINER.lifecycle!.preStop!.exec!.command!
    expect(command).toBe('sleep')
    const drainS = SETTINGS.SHUTDOWN_TIMEOUT_MS.default / 1000
    expect(POD.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(Number(seconds) + drainS + 5)
  })

  it('wait for migrations at the start, and for a shard that starts again', () => {
    const patience = ({ periodSeconds = 10, failureThreshold = 3 } = {}) => periodSeconds * failureThreshold
    expect(patience(startupProbe)).toBeGreaterThan(2 * MIGRATION_S)
    expect(patience(readinessProbe)).toBeGreaterThanOrEqual(15)
  })

  it('run it as an ordinary user with a file system that it cannot write', () => {
    expect(POD).toMatchObject({ automountServiceAccountToken: false, enableServiceLinks: false })
    expect(POD.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 1000 })
    expect(POD.securityContext).toMatchObject({ seccompProfile: { type: 'RuntimeDefault' } })
    expect(CONTAINER.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
    expect(CONTAINER.volumeMounts).toEqual([{ name: 'tmp', mountPath: '/tmp' }])
    expect(CONTAINER.resources).toMatchObject({
      requests: { cpu: '1', memory: '1Gi' },
      limits: { memory: '2Gi' },
    })
  })

  it('send requests to the port that the server listens on', () => {
    expect(CONTAINER.ports).toEqual([{ name: 'http', containerPort: SETTINGS.SERVER_PORT.default }])
    expect(SERVICE.spec!.ports).toMatchObject([{ targetPort: 'http', port: SETTINGS.SERVER_PORT.default }])
    expect(SERVICE.spec!.selector).toEqual(DEPLOYMENT.spec!.selector.matchLabels)
  })
})

describe('the probes', () => {
  const { server } = useServer()

  it.each([
    ['startup', startupProbe, '/health/live'],
    ['liveness', livenessProbe, '/health/live'],
    ['readiness', readinessProbe, '/health/ready'],
  ])('of %s ask what the server answers', async (_name, probe, path) => {
    expect(probe!.httpGet).toEqual({ path, port: 'http' })
    const answer = await fetch(server().url + path, {
      signal: AbortSignal.timeout(1000 * probe!.timeoutSeconds!),
    })
    expect(answer.status).toBe(200)
  })
})
