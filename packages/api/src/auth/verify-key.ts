/** A public signing key of an account. */
export type VerifyKey = {
  /** The only JWT algorithm that goes with it. */
  readonly algorithm: 'ES256' | 'ES256K'
  /** @param signature r and s, 32 bytes each; a high s is accepted */
  verify(data: Uint8Array, signature: Uint8Array): boolean
}

/** Finds the key that a DID signs with, from its document. */
export type KeyFinder = {
  /**
   * Throws `AuthError` with reason `identity` when there is no such DID, it is deactivated or has no usable key;
   * `RefusalError` IdentityUnavailable when nobody can tell now.
   */
  find(did: string): Promise<VerifyKey>
  /**
   * Looks at the document itself, after a signature that did not fit: the key may have changed. Undefined when it
   * has been looked at a moment ago, or when too many ask. Throws like `find`.
   */
  refresh(did: string): Promise<VerifyKey | undefined>
}
