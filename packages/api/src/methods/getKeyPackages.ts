import { claimKeyPackages } from '../queries/key-packages.ts'
import { BODY_LIMITS, type Method } from '../xrpc/method.ts'

export const getKeyPackages: Method<'blue.catbird.mls.getKeyPackages'> = {
  maxBodyBytes: BODY_LIMITS.none,
  async run({ database, metrics }, { dids, cipherSuite }, { caller }) {
    const keyPackages = await database.query('claim_key_packages', (sql) =>
      claimKeyPackages(sql, { caller, dids, cipherSuite }),
    )
    const found = new Set(keyPackages.map(({ did }) => did))
    const missing = [...new Set(dids)].filter((did) => !found.has(did))
    metrics.keyPackagesClaimed('claimed', found.size)
    metrics.keyPackagesClaimed('missing', missing.length)
    return { keyPackages, missing }
  },
}
