import { readFileSync } from 'node:fs'
import { type LexiconDoc, Lexicons } from '@atproto/lexicon'
import type { ErrorName } from '../errors.ts'
import type { Nsid } from './types.ts'

/** Every method that has a lexicon, in the order of the contract. */
export const NSIDS = [
  'blue.catbird.mls.createConvo',
  'blue.catbird.mls.addMembers',
  'blue.catbird.mls.leaveConvo',
  'blue.catbird.mls.sendMessage',
  'blue.catbird.mls.getMessages',
  'blue.catbird.mls.getCommits',
  'blue.catbird.mls.getEpoch',
  'blue.catbird.mls.getConvos',
  'blue.catbird.mls.publishKeyPackage',
  'blue.catbird.mls.getKeyPackages',
  'blue.catbird.mls.getWelcome',
  'blue.catbird.mls.confirmWelcome',
  'blue.catbird.mls.updateCursor',
  'blue.catbird.mls.sendEphemeral',
  'blue.catbird.mls.getSubscriptionTicket',
  'blue.catbird.mls.streamConvoEvents',
  'blue.catbird.mls.subscribeConvoEvents',
] as const satisfies readonly Nsid[]

/** Id of the document with the definitions that the methods share. */
export const DEFS_ID = 'blue.catbird.mls.defs'

/** Where the documents lie, each named like the last part of its id. */
export const LEXICON_DIRECTORY = new URL('../../lexicons/blue/catbird/mls/', import.meta.url)

/** A fresh copy of a document, since `Lexicons` rewrites the references in what it is given. */
export function readDocument(id: string): LexiconDoc {
  const file = new URL(`${id.slice(id.lastIndexOf('.') + 1)}.json`, LEXICON_DIRECTORY)
  return JSON.parse(readFileSync(file, 'utf8')) as LexiconDoc
}

/** All documents, as published. */
export const lexicons = new Lexicons([DEFS_ID, ...NSIDS].map(readDocument))

export function methodDef(nsid: Nsid) {
  return lexicons.getDefOrThrow(nsid, ['query', 'procedure', 'subscription'])
}

const errorNames = new Map(
  NSIDS.map((nsid) => [nsid, (methodDef(nsid).errors ?? []).map((error) => error.name as ErrorName)]),
)

/** Names that this method's lexicon declares; a unit test holds them against `ERROR_STATUS`. */
export function declaredErrors(nsid: Nsid): readonly ErrorName[] {
  return errorNames.get(nsid) ?? []
}

/** Whether an unchecked string, such as the last segment of a path, names a method. */
export function isNsid(value: string): value is Nsid {
  return errorNames.has(value as Nsid)
}
