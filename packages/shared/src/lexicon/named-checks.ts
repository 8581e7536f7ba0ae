import { isValidDid } from '@atproto/syntax'
import { type ErrorName, RefusalError } from '../errors.ts'
import { cipherSuiteId } from '../mls/cipher-suites.ts'
import type { Nsid } from './types.ts'

type Request = Readonly<Record<string, unknown>>
type Check = (request: Request) => void

/** Most DIDs in `initialMembers` and in `dids`, and in `didList`. */
const MAX_DIDS = 100
const MAX_DID_LIST = 50

/**
 * Violations that the lexicon validation would call InvalidRequest although the contract has a name for them.
 * A value of another JSON type is left to that validation.
 */
const CHECKS: Partial<Record<Nsid, readonly Check[]>> = {
  'blue.catbird.mls.createConvo': [checkCipherSuite, checkInitialMembers, checkGroupId],
  'blue.catbird.mls.addMembers': [checkDidList],
  'blue.catbird.mls.sendMessage': [checkEmbedUri],
  'blue.catbird.mls.publishKeyPackage': [checkCipherSuite],
  'blue.catbird.mls.getKeyPackages': [checkDids, checkCipherSuite],
  'blue.catbird.mls.getCommits': [checkEpochRange],
}

/** @throws RefusalError with the name that the contract gives to the violation */
export function applyNamedChecks(nsid: Nsid, request: Request): void {
  for (const check of CHECKS[nsid] ?? []) check(request)
}

/** The refusal of text that no database can hold; a bad cursor has its own name whatever is bad about it. */
export function unusableText(name: string): RefusalError {
  const isPosition = name === 'cursor' || name === 'sinceMessage'
  const error: ErrorName = isPosition ? 'InvalidCursor' : 'InvalidRequest'
  return new RefusalError(error, `${name} contains characters that text cannot have`)
}

function checkCipherSuite({ cipherSuite }: Request): void {
  if (typeof cipherSuite === 'string' && cipherSuiteId(cipherSuite) === undefined) {
    throw new RefusalError('InvalidCipherSuite', 'cipherSuite is not a known name')
  }
}

function checkInitialMembers({ initialMembers }: Request): void {
  if (Array.isArray(initialMembers) && initialMembers.length > MAX_DIDS) {
    throw new RefusalError('TooManyMembers', 'too many initialMembers', { limit: MAX_DIDS })
  }
}

function checkDidList({ didList }: Request): void {
  if (Array.isArray(didList) && didList.length > MAX_DID_LIST) {
    throw new RefusalError('TooManyMembers', 'too many DIDs in didList', { limit: MAX_DID_LIST })
  }
}

/** The lexicon language has no patterns. */
function checkGroupId({ groupId }: Request): void {
  if (typeof groupId === 'string' && !/^[0-9a-f]*$/.test(groupId)) {
    throw new RefusalError('InvalidRequest', 'groupId must be lower-case hex')
  }
}

function checkDids({ dids }: Request): void {
  if (!Array.isArray(dids)) return
  if (dids.length > MAX_DIDS) throw new RefusalError('TooManyDids', 'too many dids', { limit: MAX_DIDS })
  const bad = dids.findIndex((did) => !isValidDid(did))
  if (bad >= 0) throw new RefusalError('InvalidDid', `dids/${bad} must be a valid did`)
}

function checkEmbedUri({ embedUri }: Request): void {
  if (typeof embedUri === 'string' && !/^(?:https|at):\/\/[^\s/]\S*$/i.test(embedUri)) {
    throw new RefusalError('InvalidAsset', 'embedUri must be an https or at URI')
  }
}

function checkEpochRange(request: Request): void {
  for (const name of ['fromEpoch', 'toEpoch']) {
    const epoch = request[name]
    if (Number.isInteger(epoch) && (!Number.isSafeInteger(epoch) || (epoch as number) < 0)) {
      throw new RefusalError('InvalidEpochRange', `${name} is not an epoch`)
    }
  }
}
