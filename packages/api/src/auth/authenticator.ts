/** Who a request is from. Throws a `RefusalError` with one of the 401 names. */
export type Authenticator = {
  /**
   * @param authorization the header as it came
   * @param nsid the method that the token must be for
   */
  authenticate(authorization: string | undefined, nsid: string): Promise<{ did: string }>
}
