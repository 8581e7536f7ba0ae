import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { METHODS } from '@catbird/api/methods/index'
import { ERROR_STATUS } from '@catbird/shared/errors'
import { FRAME_ERRORS } from '@catbird/shared/lexicon'
import { describe, expect, it } from 'vitest'
import { expectedErrors } from '../support/call-names.ts'
import { CONTRACT_STATUS } from '../support/error-table.ts'
import { expectError } from '../support/expect-error.ts'
import { sendRaw } from '../support/http.ts'
import { MODES } from '../support/server.ts'
import { useServer } from '../support/use-server.ts'

type Lexicon = { id: string; defs: { main?: { type: string; errors?: { name: string }[] } } }

const ROOT = join(import.meta.dirname, '../..')
const LEXICONS = join(ROOT, 'packages/shared/lexicons/blue/catbird/mls')
const TESTS = join(ROOT, 'tests/integration')

/** They answer no JSON. What they have in common is tested once, over both, in files of either name. */
const STREAMS = ['streamConvoEvents', 'subscribeConvoEvents']

/** Methods by the lexicon files, each with its verb and its errors. */
const METHODS_BY_LEXICON = readdirSync(LEXICONS)
  .map((file) => JSON.parse(readFileSync(join(LEXICONS, file), 'utf8')) as Lexicon)
  .filter(({ defs }) => ['query', 'procedure', 'subscription'].includes(defs.main?.type ?? ''))
  .map(({ id, defs }) => ({
    nsid: id,
    name: id.slice(id.lastIndexOf('.') + 1),
    verb: defs.main!.type === 'procedure' ? 'POST' : 'GET',
    errors: (defs.main!.errors ?? []).map((error) => error.name),
  }))

describe('methods', () => {
  const { people, server } = useServer(MODES[0].env)
  const withToken = async (path: string, method: string) => {
    const [alice] = people('alice')
    const headers = { Authorization: `Bearer ${await alice.token()}` }
    return sendRaw(`${server().url}${path}`, { method, headers })
  }

  it('are the seventeen of the contract', () => {
    expect(METHODS_BY_LEXICON.map(({ name }) => name).toSorted()).toEqual([
      'addMembers',
      'confirmWelcome',
      'createConvo',
      'getCommits',
      'getConvos',
      'getEpoch',
      'getKeyPackages',
      'getMessages',
      'getSubscriptionTicket',
      'getWelcome',
      'leaveConvo',
      'publishKeyPackage',
      'sendEphemeral',
      'sendMessage',
      'streamConvoEvents',
      'subscribeConvoEvents',
      'updateCursor',
    ])
  })

  it('are mounted where there is a lexicon, and only there', () => {
    const answering = METHODS_BY_LEXICON.filter(({ name }) => !STREAMS.includes(name))
    expect(Object.keys(METHODS).toSorted()).toEqual(answering.map(({ nsid }) => nsid).toSorted())
  })

  it.each(METHODS_BY_LEXICON)(
    '$name answers its verb alone, to who is authenticated',
    async ({ nsid, verb }) => {
      const url = `${server().url}/xrpc/${nsid}`
      expectError(await sendRaw(url, { method: verb }), 'AuthenticationRequired')
      for (const other of ['GET', 'POST', 'PUT', 'DELETE', 'PATCH'].filter((one) => one !== verb)) {
        expectError(await withToken(`/xrpc/${nsid}`, other), 'MethodNotAllowed')
      }
    },
  )

  it('are not implemented under any other name', async () => {
    const names = [
      'blue.catbird.mls.nope',
      'blue.catbird.mls.getepoch',
      'getEpoch',
      'toString',
      '__proto__',
      'a/b',
      '',
    ]
    for (const name of [...names, 'blue.catbird.mls.defs', 'blue.catbird.mls.getEpoch/']) {
      for (const verb of ['GET', 'POST']) {
        expectError(await withToken(`/xrpc/${name}`, verb), 'MethodNotImplemented')
      }
    }
  })
})

describe('errors', () => {
  it('have the status that the contract gives them, every one', () => {
    const contract = Object.entries(CONTRACT_STATUS).flatMap(([status, names]) =>
      names.map((name) => [name, Number(status)]),
    )
    expect(ERROR_STATUS).toEqual(Object.fromEntries(contract))
  })

  const declared = METHODS_BY_LEXICON.flatMap(({ name, errors }) => errors.map((error) => ({ name, error })))

  /** Sources of the integration tests of a method. */
  const sourcesOf = (name: string) =>
    readdirSync(TESTS)
      .filter((file) => new RegExp(`^${name}(-[a-z-]+)?\\.test\\.ts$`).test(file))
      .map((file) => readFileSync(join(TESTS, file), 'utf8'))

  it.each(declared)('$error of $name is produced by an integration test', ({ name, error }) => {
    const sources = (STREAMS.includes(name) ? STREAMS : [name]).flatMap(sourcesOf)
    const frames = sources.flatMap((source) => [...source.matchAll(/expectFrameError\(.*, '(\w+)'\)/g)])
    const produced = [...sources.flatMap(expectedErrors), ...frames.map(([, frame]) => frame)]
    expect(produced).toContain(error)
  })

  it('that end a WebSocket are declared by its method, and by no other', () => {
    const declaring = declared.filter(({ error }) => (FRAME_ERRORS as readonly string[]).includes(error))
    expect(declaring).toEqual(FRAME_ERRORS.map((error) => ({ name: 'subscribeConvoEvents', error })))
  })
})
