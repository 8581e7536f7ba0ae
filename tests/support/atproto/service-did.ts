import { Secp256k1Keypair } from '@atproto/crypto'
import { addSignature, type Client, didForCreateOp } from '@did-plc/lib'

export type ServiceDid = {
  did: string
  /** Publishes where the service is, once that is known. */
  pointTo(url: string): Promise<void>
}

/** A DID for the service, as an operator makes it, in the PLC directory behind the client. */
export async function createServiceDid(client: Client): Promise<ServiceDid> {
  const rotationKey = await Secp256k1Keypair.create()
  const servicesAt = (endpoint: string) => ({ atproto_mls: { type: 'AtprotoMlsService', endpoint } })
  const operation = await addSignature(
    {
      type: 'plc_operation' as const,
      rotationKeys: [rotationKey.did()],
      verificationMethods: {},
      alsoKnownAs: [],
      services: servicesAt('https://mls.example.com'),
      prev: null,
    },
    rotationKey,
  )
  const did = await didForCreateOp(operation)
  await client.sendOperation(did, operation)
  return {
    did,
    pointTo: (url) => client.updateData(did, rotationKey, (last) => ({ ...last, services: servicesAt(url) })),
  }
}
