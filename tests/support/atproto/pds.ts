import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AtpAgent } from '@atproto/api'
import { envToCfg, envToSecrets, PDS } from '@atproto/pds'
import { listenOnLoopback } from './loopback.ts'
import { PdsAccount } from './pds-account.ts'

export type TestPds = {
  url: string
  /** Makes the account name.test and logs in to it. */
  createAccount(name: string): Promise<PdsAccount>
  stop(): Promise<void>
}

/**
 * A real PDS on a directory of its own; its accounts are in the given PLC directory. Its firehose is silent: libsql
 * gives blobs in a form that it cannot read, and nobody here listens.
 */
export async function startPds(plcUrl: string): Promise<TestPds> {
  const directory = await mkdtemp(join(tmpdir(), 'catbird-pds-'))
  const server = await listenOnLoopback()
  const close = async () => {
    await server.stop()
    await rm(directory, { recursive: true, force: true })
  }
  try {
    const pds = await PDS.create(...configuration(plcUrl, directory, server.port))
    // What PDS.start does, but on our port: it could not have told it to its accounts before listening.
    await pds.ctx.sequencer.start()
    server.serve(pds.app)
    const { publicUrl: url } = pds.ctx.cfg.service
    return {
      url,
      createAccount: (name) => createAccount(url, name),
      async stop() {
        await pds.destroy().finally(close)
      },
    }
  } catch (error) {
    await close()
    throw error
  }
}

function configuration(plcUrl: string, directory: string, port: number) {
  const env = {
    port,
    hostname: 'localhost',
    serviceHandleDomains: ['.test'],
    didPlcUrl: plcUrl,
    dataDirectory: directory,
    blobstoreDiskLocation: join(directory, 'blobs'),
    // Also lets it proxy to services on this machine.
    devMode: true,
    inviteRequired: false,
    rateLimitsEnabled: false,
    jwtSecret: randomBytes(32).toString('hex'),
    adminPassword: randomBytes(16).toString('hex'),
    plcRotationKeyK256PrivateKeyHex: randomBytes(32).toString('hex'),
  }
  return [envToCfg(env), envToSecrets(env)] as const
}

async function createAccount(url: string, name: string): Promise<PdsAccount> {
  const handle = `${name}.test`
  const password = randomBytes(16).toString('hex')
  await new AtpAgent({ service: url }).createAccount({ handle, password, email: `${name}@example.com` })
  const agent = new AtpAgent({ service: url })
  await agent.login({ identifier: handle, password })
  return new PdsAccount(agent)
}
