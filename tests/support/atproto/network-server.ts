import { startTestServer, type TestEnv, type TestServer } from '../server.ts'
import type { TestPlc } from './plc.ts'
import { createServiceDid } from './service-did.ts'

/** A server with a DID of its own in the directory, where a PDS finds out how to reach it. */
export type NetworkServer = TestServer & { did: string }

export async function startNetworkServer(plc: TestPlc, env: TestEnv = {}): Promise<NetworkServer> {
  const service = await createServiceDid(plc.client)
  const server = await startTestServer({ ...networkEnv(plc, service.did), ...env })
  await service.pointTo(server.url)
  return { ...server, did: service.did }
}

/** For a server that believes the accounts of this directory and nobody else: there are no development tokens. */
export function networkEnv(plc: TestPlc, serviceDid: string): TestEnv {
  return { PLC_URL: plc.url, SERVICE_DID: serviceDid, JWT_SECRET: '' }
}
