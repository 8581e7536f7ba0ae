import { type Keypair, P256Keypair, Secp256k1Keypair } from '@atproto/crypto'
import type { Nsid } from '@catbird/shared/lexicon'
import { createOp } from '@did-plc/lib'
import { listenOnLoopback } from './loopback.ts'
import type { TestPlc } from './plc.ts'
import { signServiceToken, type TokenClaims } from './service-token.ts'
import { XrpcCaller } from './xrpc-caller.ts'

export const CURVES = { secp256k1: Secp256k1Keypair, 'P-256': P256Keypair } as const
export type Curve = keyof typeof CURVES

/** An account whose signing key the test holds. */
export class TestAccount {
  readonly did: string
  readonly keypair: Keypair

  constructor(did: string, keypair: Keypair) {
    this.did = did
    this.keypair = keypair
  }

  token(nsid: Nsid, audience: string, claims: Partial<TokenClaims> = {}): Promise<string> {
    return signServiceToken(this.keypair, { iss: this.did, aud: audience, lxm: nsid, ...claims })
  }

  /** Calls a server, each time with a fresh token. */
  direct(url: string, audience: string): XrpcCaller {
    return XrpcCaller.withTokens(this.did, url, (nsid) => this.token(nsid, audience))
  }
}

/** An account in the PLC directory, whose document the test can change. */
export class PlcAccount extends TestAccount {
  readonly #plc: TestPlc
  readonly #rotationKey: Keypair

  private constructor(plc: TestPlc, did: string, keypair: Keypair, rotationKey: Keypair) {
    super(did, keypair)
    this.#plc = plc
    this.#rotationKey = rotationKey
  }

  static async create(plc: TestPlc, curve: Curve = 'secp256k1'): Promise<PlcAccount> {
    const [keypair, rotationKey] = await Promise.all([CURVES[curve].create(), Secp256k1Keypair.create()])
    const { op, did } = await createOp({
      signingKey: keypair.did(),
      rotationKeys: [rotationKey.did()],
      handle: 'somebody.test',
      pds: 'https://pds.example.com',
      signer: rotationKey,
    })
    await plc.client.sendOperation(did, op)
    return new PlcAccount(plc, did, keypair, rotationKey)
  }

  /** Puts a new key into the document; answers the account as it is then. This one goes on signing with the old key. */
  async rotateKey(curve: Curve = 'secp256k1'): Promise<PlcAccount> {
    const keypair = await CURVES[curve].create()
    await this.#plc.client.updateAtprotoKey(this.did, this.#rotationKey, keypair.did())
    return new PlcAccount(this.#plc, this.did, keypair, this.#rotationKey)
  }

  /** Takes the signing key out of the document, as accounts do that are out of use for a while. */
  removeKey(): Promise<void> {
    return this.#plc.client.updateData(this.did, this.#rotationKey, (last) => ({
      ...last,
      verificationMethods: {},
    }))
  }

  /** Gives the DID up for good. */
  tombstone(): Promise<void> {
    return this.#plc.client.tombstone(this.did, this.#rotationKey)
  }
}

export type WebAccount = TestAccount & { stop(): Promise<void> }

/** A did:web account, with the web server on this machine that its document comes from. */
export async function startWebAccount(curve: Curve = 'secp256k1'): Promise<WebAccount> {
  const keypair = await CURVES[curve].create()
  const server = await listenOnLoopback((request, response) => {
    if (request.url !== '/.well-known/did.json') return void response.writeHead(404).end()
    response
      .writeHead(200, { 'Content-Type': 'application/json' })
      .end(JSON.stringify(webDocument(did, keypair)))
  })
  const did = `did:web:localhost%3A${server.port}`
  return Object.assign(new TestAccount(did, keypair), { stop: server.stop })
}

function webDocument(did: string, keypair: Keypair) {
  return {
    '@context': ['https://www.w3.org/ns/did/v1', 'https://w3id.org/security/multikey/v1'],
    id: did,
    verificationMethod: [
      {
        id: `${did}#atproto`,
        type: 'Multikey',
        controller: did,
        publicKeyMultibase: keypair.did().slice('did:key:'.length),
      },
    ],
  }
}
