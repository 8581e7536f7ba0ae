import { encodeBase64 } from '@catbird/shared/bytes'
import { RefusalError } from '@catbird/shared/errors'
import { requireMember } from '../queries/access.ts'
import { findWelcome } from '../queries/welcomes.ts'
import { BODY_LIMITS, type Method } from '../xrpc/method.ts'

export const getWelcome: Method<'blue.catbird.mls.getWelcome'> = {
  maxBodyBytes: BODY_LIMITS.none,
  async run({ database }, { convoId, keyPackageHash }, { caller }) {
    await database.query('membership', (sql) => requireMember(sql, convoId, caller))
    const found = await database.query('find_welcome', (sql) =>
      findWelcome(sql, { convoId, did: caller, keyPackageHash }),
    )
    if (found === 'none') throw new RefusalError('WelcomeNotFound', 'there is no Welcome for the caller')
    if (found === 'consumed') throw new RefusalError('WelcomeConsumed', 'the Welcome was confirmed already')
    const { bytes, keyPackageHash: hash } = found
    return { convoId, welcome: encodeBase64(bytes), ...(hash && { keyPackageHash: hash }) }
  },
}
