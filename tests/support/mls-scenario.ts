import { expect } from 'vitest'
import { addMembers } from './mls-changes.ts'
import { MlsClient } from './mls-client.ts'
import type { MlsGroup, Received } from './mls-group.ts'
import { MODES } from './server.ts'
import { newDid, type SharedServer } from './use-server.ts'

/** The crypto costs more than the server does: one mode of each executor is enough for stories with real groups. */
export const SCENARIO_MODES = MODES.filter(({ name }) => name !== 'actors on 4 shards')

type Each<N, T> = { [K in keyof N]: T }

/** Real clients of a server under test, under DIDs that no other test uses. */
export function mlsClients({ as }: Pick<SharedServer, 'as'>) {
  const newClient = async (name: string, device?: string): Promise<MlsClient> => {
    const client = new MlsClient(as(newDid(name)), device)
    await client.publishKeyPackage()
    return client
  }

  /** A conversation of clients of these names, added with one commit; the first one creates it. */
  async function startGroup<const N extends readonly [string, ...string[]]>(
    ...names: N
  ): Promise<{ clients: Each<N, MlsClient>; groups: Each<N, MlsGroup> }> {
    const clients = await Promise.all(names.map((name) => newClient(name)))
    const [creator, ...others] = clients as [MlsClient, ...MlsClient[]]
    const group = await creator.createGroup()
    const dids = others.map(({ did }) => did)
    if (dids.length > 0) await addMembers(group, dids)
    const joined = await Promise.all(others.map((client) => client.join(group.convoId)))
    return { clients: clients as Each<N, MlsClient>, groups: [group, ...joined] as Each<N, MlsGroup> }
  }
  return { newClient, startGroup }
}

/** Reads what is new for each; all must end in the same state, which must be the server's too. */
export async function expectAgreement(...groups: MlsGroup[]): Promise<Received[][]> {
  const received = await Promise.all(groups.map((group) => group.sync()))
  const [first] = groups
  const views = groups.map(({ epoch, epochAuthenticator, seq, logHash, members }) => {
    return { epoch, epochAuthenticator, seq, logHash, members }
  })
  for (const view of views) expect(view).toEqual(views[0])
  const { caller, convoId } = first!
  const server = await caller.ok('getEpoch', { convoId })
  expect(server).toMatchObject({ currentEpoch: first!.epoch, lastSeq: first!.seq, logHash: first!.logHash })
  return received
}

export function texts(received: Received[]): string[] {
  return received.map(({ text }) => text)
}
