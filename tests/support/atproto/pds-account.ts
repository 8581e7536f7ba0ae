import type { AtpAgent, AtprotoProxy } from '@atproto/api'
import type { Nsid } from '@catbird/shared/lexicon'
import { XrpcCaller } from './xrpc-caller.ts'

/** An account whose key its PDS holds, logged in. */
export class PdsAccount {
  readonly agent: AtpAgent

  constructor(agent: AtpAgent) {
    this.agent = agent
  }

  get did(): string {
    return this.agent.assertDid
  }

  /** Calls the service through the PDS, which finds it by its DID and signs for the account. */
  through(serviceDid: string): XrpcCaller {
    const agent = this.agent.clone()
    agent.configureProxy(`${serviceDid}#atproto_mls` as AtprotoProxy)
    return new XrpcCaller(this.did, (_nsid, path, init) => agent.fetchHandler(path, init))
  }

  /** Calls the service itself, each time with a token that the PDS gives for that method. */
  direct(url: string, audience: string): XrpcCaller {
    return XrpcCaller.withTokens(this.did, url, (nsid) => this.token(nsid, audience))
  }

  async token(nsid: Nsid, audience: string): Promise<string> {
    const { data } = await this.agent.com.atproto.server.getServiceAuth({ aud: audience, lxm: nsid })
    return data.token
  }
}
