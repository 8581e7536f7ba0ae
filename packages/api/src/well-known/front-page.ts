/** For people who follow a link to the server and wonder what it is. */
export function frontPage(version: string): string {
  return `catbird-mls-server ${version}

A Delivery Service for end-to-end encrypted (MLS, RFC 9420) group chat on AT Protocol.
It speaks XRPC: the blue.catbird.mls.* methods under /xrpc/, with a service token as bearer.

Who it is: /.well-known/did.json
Whether it is up, and its version: /xrpc/_health
`
}
