import type { ServerResponse } from 'node:http'
import { Client, type DocumentData, validateOperationLog } from '@did-plc/lib'
import { Database, PlcServer } from '@did-plc/server'
import { listenOnLoopback } from './loopback.ts'

export type TestPlc = {
  url: string
  client: Client
  /** Documents asked for so far, by DID, in order. */
  lookups: string[]
  stop(): Promise<void>
}

/**
 * A real PLC directory that keeps its operations in memory. Only the documents are ours: the published server
 * writes keys in the form of 2023 and calls a tombstoned DID unknown, plc.directory writes Multikeys and answers 410.
 */
export async function startPlc(): Promise<TestPlc> {
  const db = Database.mock()
  const plc = PlcServer.create({ db })
  const lookups: string[] = []
  const server = await listenOnLoopback((request, response) => {
    const did = request.method === 'GET' ? didOf(request.url ?? '') : undefined
    if (did === undefined) return void plc.app(request, response)
    lookups.push(did)
    answerDocument(db, did, response).catch((error) => response.destroy(error))
  })
  const url = `http://localhost:${server.port}`
  return {
    url,
    client: new Client(url),
    lookups,
    async stop() {
      await server.stop()
      await plc.destroy()
    },
  }
}

function didOf(path: string): string | undefined {
  return /^\/(did:plc:[a-z2-7]+)$/.exec(decodeURIComponent(path))?.[1]
}

async function answerDocument(
  db: ReturnType<typeof Database.mock>,
  did: string,
  response: ServerResponse,
): Promise<void> {
  const operations = await db.opsForDid(did)
  const data = operations.length > 0 ? await validateOperationLog(did, operations) : undefined
  if (data) {
    response
      .writeHead(200, { 'Content-Type': 'application/did+ld+json' })
      .end(JSON.stringify(toDocument(data)))
    return
  }
  const [status, message] =
    data === null
      ? ([410, `DID not available: ${did}`] as const)
      : ([404, `DID not registered: ${did}`] as const)
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify({ message }))
}

function toDocument(data: DocumentData) {
  return {
    '@context': ['https://www.w3.org/ns/did/v1', 'https://w3id.org/security/multikey/v1'],
    id: data.did,
    alsoKnownAs: data.alsoKnownAs,
    verificationMethod: Object.entries(data.verificationMethods).map(([id, key]) => ({
      id: `${data.did}#${id}`,
      type: 'Multikey',
      controller: data.did,
      publicKeyMultibase: key.slice('did:key:'.length),
    })),
    service: Object.entries(data.services).map(([id, { type, endpoint }]) => ({
      id: `#${id}`,
      type,
      serviceEndpoint: endpoint,
    })),
  }
}
