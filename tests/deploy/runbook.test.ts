import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { audit } from '@catbird/api/audit/audit'
import { currentIncarnation } from '@catbird/api/database/incarnation'
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest'
import { commitFor, createConvo, messageFor } from '../support/convo.ts'
import { databaseUrl, runOnServer } from '../support/database-server.ts'
import { ROOT } from '../support/deploy/scripts.ts'
import { type Block, Guide } from '../support/deploy-guides/guide.ts'
import { GuideTerminal } from '../support/deploy-guides/guide-terminal.ts'
import {
  ALERTS,
  ERROR_NAMES,
  isFile,
  isInSources,
  MANIFESTS,
  NPM_SCRIPTS,
  OTHER_NAMES,
  SETTING_NAMES,
  unknownToDocker,
} from '../support/deploy-guides/known-names.ts'
import { isSeries, unknownIn } from '../support/deploy-guides/promql-names.ts'
import { RecordedCaller } from '../support/deploy-guides/recorded-caller.ts'
import { linesOf } from '../support/deploy-guides/run-block.ts'
import { updateKeys } from '../support/mls-changes.ts'
import { expectAgreement, mlsClients, texts } from '../support/mls-scenario.ts'
import { createTestDatabase, openSql } from '../support/postgres.ts'
import type { Scrape } from '../support/scrape.ts'
import { startTestServer } from '../support/server.ts'
import { dumpAndRestore } from '../support/streams/restored-database.ts'

const RUNBOOK = new Guide('runbook.md')
const MIGRATION = new Guide('migration.md')
const GUIDES = [RUNBOOK, MIGRATION]
const named = (block: Block): [string, Block] => [
  `${block.guide}:${block.line} ${block.text.split('\n')[0]}`,
  block,
]
const blocksOf = (language: string, ...abouts: string[]) =>
  GUIDES.flatMap((guide) => guide.blocksOf(language))
    .filter(({ about }) => abouts.includes(about))
    .map(named)

let guides: GuideTerminal
let scrape: Scrape

beforeAll(async () => {
  guides = await GuideTerminal.open()
  await guides.begin()
  scrape = await guides.scrape()
})
afterAll(() => guides?.close())

describe('what the guides say to type', () => {
  it('is of a kind that is looked at here', () => {
    const kinds = GUIDES.flatMap(({ blocks }) =>
      blocks.map(({ language, about }) => `${language} ${about}`.trim()),
    )
    const known = ['sh', 'sh docker', 'sh kubectl', 'sh long', 'sql', 'sql life', 'sql change', 'promql']
    expect([...new Set(kinds)].toSorted()).toEqual(known.toSorted())
  })

  it.each(blocksOf('sh', '', 'docker'))('works: %s', async (_, block) => {
    const output = await guides.run(block)
    if (isSeen(block)) expect(output).not.toBe('')
  })

  it.each(blocksOf('sh', 'docker'))('names what docker-compose.yml has: %s', (_, block) => {
    for (const line of linesOf(block)) expect(unknownToDocker(line)).toEqual([])
  })

  it.each(blocksOf('sh', 'kubectl'))('names what the manifests have: %s', async (_, block) => {
    const lines = linesOf(block)
    const objects = lines.flatMap((line) => line.match(/\b(?:deployment|service)\/[\w-]+/g) ?? [])
    expect(objects.filter((object) => !MANIFESTS.has(object))).toEqual([])
    expect(lines.filter((line) => line.startsWith('kubectl')).length).toBeGreaterThan(0)
    const settings = await guides.runBesideKubectl(block)
    const names = Array.from(settings.matchAll(/^(\w+)=/gm), ([, name]) => name!)
    expect(names).toContain('SHARD_COUNT')
    expect(names.filter((name) => !SETTING_NAMES.has(name))).toEqual([])
  })

  it.each(blocksOf('sh', 'long'))('is there with such options: %s', async (_, block) => {
    for (const line of linesOf(block)) {
      const files = line.match(/\b(?:deploy|tests)\/[\w./-]+/g) ?? []
      expect(files.filter((file) => !isFile(file))).toEqual([])
      const texts = files.map((file) => readFileSync(`${ROOT}${file}`, 'utf8'))
      const variables = Array.from(line.matchAll(/ -e (\w+)=/g), ([, name]) => `__ENV.${name}`)
      expect(variables.filter((name) => !texts.join().includes(name))).toEqual([])
      if (!line.startsWith('deploy/')) continue
      const [tool, ...args] = line.split(' ')
      const { stdout, stderr } = await promisify(execFile)(`${ROOT}${tool}`, ['--help']).catch(
        (error) => error,
      )
      const options = args.filter((arg) => arg.startsWith('--'))
      expect(options.filter((option) => !`${stdout}${stderr}`.includes(option))).toEqual([])
    }
  })

  it.each(blocksOf('sql', '', 'change'))('is a statement that the database takes: %s', async (_, block) => {
    const sql = openSql(guides.database.url)
    try {
      await sql.unsafe(block.text)
      expect(await audit(sql)).toMatchObject({ violations: 0 })
    } finally {
      await sql.end()
    }
  })

  it.each(blocksOf('promql', ''))('asks for series and labels that there are: %s', (_, { text }) => {
    expect(unknownIn(text, scrape)).toEqual([])
  })
})

describe('what the guides tell people to do', () => {
  const stoppedAfterwards = async (url: string) => {
    const server = await startTestServer({ SHARD_COUNT: '1' }, { url, drop: async () => {} })
    onTestFinished(() => server.stop())
    return server
  }

  it('a commit that a restore lost, sent again by who made it, makes the group whole', async () => {
    const [old, restored] = [await createTestDatabase(), await createTestDatabase()]
    onTestFinished(async () => void (await Promise.all([old.drop(), restored.drop()])))
    const before = await stoppedAfterwards(old.url)
    const { groups } = await mlsClients(before).startGroup('alice', 'bob')
    const [alice, bob] = groups
    await expectAgreement(alice, bob)
    await dumpAndRestore(old.url, restored.url)
    const recorded = new RecordedCaller(alice.caller)
    alice.caller = recorded
    await updateKeys(alice)
    await expectAgreement(alice, bob)

    const after = await stoppedAfterwards(restored.url)
    for (const group of groups) group.caller = after.as(group.caller.did)
    const { convoId, epoch } = bob
    const stuck = { convoId, epoch, ciphertext: messageFor(convoId, epoch) }
    const { body } = await bob.caller.call('sendMessage', stuck)
    expect(body).toMatchObject({ error: 'EpochMismatch', serverEpoch: epoch - 1, expectedEpoch: epoch })
    const [lost] = recorded.calls
    expect(await alice.caller.ok('addMembers', lost!.input)).toMatchObject({ newEpoch: epoch })
    await bob.send('whole again')
    expect((await expectAgreement(alice, bob)).map(texts)).toEqual([['whole again'], ['whole again']])
  })

  it('a group at any epoch moves from an earlier server by a conversation without one and a commit', async () => {
    const [alice, bob] = [guides.as('did:plc:mover'), guides.as('did:plc:moved')]
    const convoId = await createConvo(alice, { initialMembers: [bob.did] })
    const moved = await alice.ok('addMembers', { convoId, didList: [], commit: commitFor(convoId, 57) })
    expect(moved).toMatchObject({ newEpoch: 58 })
    await bob.ok('sendMessage', { convoId, epoch: 58, ciphertext: messageFor(convoId, 58) })
    const { body } = await alice.call('addMembers', { convoId, didList: ['did:plc:third'] })
    expect(body.error).toBe('CommitRequired')
  })

  it.each(blocksOf('sql', 'life'))('a snapshot gets a life of its own: %s', async (_, { text }) => {
    const { url, template } = inject('databaseServer')
    if (template === undefined) return
    const name = `catbird_life_${randomBytes(8).toString('hex')}`
    await runOnServer(url, `create database ${name} template ${template}`)
    const before = await lifeOf(databaseUrl(url, name))
    for (const statement of text.split(';\n').filter(Boolean)) {
      await runOnServer(url, statement.replace(/\bcatbird(?=_snapshot\b|\b)/g, name))
    }
    const after = await lifeOf(databaseUrl(url, name))
    for (const one of [name, `${name}_snapshot`]) await runOnServer(url, `drop database ${one} with (force)`)
    expect(after.tag).not.toBe(before.tag)
  })
})

async function lifeOf(url: string) {
  const sql = openSql(url)
  try {
    return await currentIncarnation(sql)
  } finally {
    await sql.end()
  }
}

describe('the runbook', () => {
  it('has a section for each alert, and no other', () => {
    const { headings } = RUNBOOK.section('Alerts')
    expect(headings).toEqual(ALERTS.map(({ alert }) => alert))
    const anchors = ALERTS.map(({ annotations }) => annotations.runbook_url)
    expect(anchors).toEqual(headings.map((alert) => `runbook.md#${alert.toLowerCase()}`))
  })

  it.each(ALERTS.map(({ alert }) => alert))(
    'says of %s what it means, where to look and what to do',
    (alert) => {
      const { text } = RUNBOOK.section(alert)
      expect(text).toMatch(/\*\*Means:\*\*.*\*\*Look:\*\*.*```.*\*\*Do:\*\*/s)
    },
  )

  it('quotes lines of the log and refusals to start as they are', () => {
    const quoted = ['Phrases to look for', 'Start-up refusals'].flatMap(
      (title) => RUNBOOK.section(title).codes,
    )
    const parts = quoted.flatMap((code) => code.split(/…| is off/)[0]!.trim())
    expect(parts.filter((part) => !isInSources(part) && !isFile(part))).toEqual([])
  })
})

describe.each(GUIDES.map((guide) => [guide.name, guide] as const))(
  '%s names nothing that is not there:',
  (_, guide) => {
    // Without what curl fills in.
    const words = guide.words.join('\n').replaceAll(/%\{\w+\}/g, '')
    const all = (pattern: RegExp) => [...new Set(words.match(pattern) ?? [])]

    it('settings', () => {
      const names = all(/\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b/g)
      expect(names.length).toBeGreaterThan(5)
      expect(names.filter((name) => !SETTING_NAMES.has(name) && name !== 'REQUEST_ID')).toEqual([])
    })

    it('metrics', () => {
      const families = new Set([...scrape.types.keys()].map((name) => name.split('_')[0]))
      const names = all(/\b[a-z]+(?:_[a-z0-9]+)+\b/g).filter((name) => families.has(name.split('_')[0]))
      expect(names.length).toBeGreaterThan(5)
      const isKnown = (name: string) => isSeries(name, scrape) || OTHER_NAMES.has(name) || isInSources(name)
      expect(names.filter((name) => !isKnown(name))).toEqual([])
    })

    it('errors, events and alerts', () => {
      const alerts = ALERTS.map(({ alert }) => alert)
      const names = all(/\b[A-Z][a-z]+(?:[A-Z][a-z]+)+\b/g)
      expect(names.length).toBeGreaterThan(5)
      const isKnown = (name: string) => ERROR_NAMES.has(name) || alerts.includes(name) || isInSources(name)
      expect(names.filter((name) => !isKnown(name))).toEqual([])
    })

    it('files', () => {
      const names = guide.codes.filter((code) =>
        /^[\w./-]+\.(md|ya?ml|sh|env|example)$|^(deploy|tests)\//.test(code),
      )
      expect(names.filter((name) => !isFile(name))).toEqual([])
    })

    it('commands of npm', () => {
      const scripts = Array.from(words.matchAll(/npm run (?:-s )?([\w:]+)/g), ([, script]) => script!)
      expect(scripts.length).toBeGreaterThan(0)
      expect(scripts.filter((script) => !NPM_SCRIPTS.has(script))).toEqual([])
    })

    it('places in a guide', () => {
      const targets = guide.links.map((link) => link.split('#') as [string, string | undefined])
      expect(targets.length).toBeGreaterThan(0)
      const isPlace = ([name, anchor]: [string, string | undefined]) => {
        if (name !== '' && !isFile(name)) return false
        const target = name === '' ? guide : GUIDES.find((one) => one.name === name)
        return anchor === undefined || target?.headings.some((heading) => heading.anchor === anchor)
      }
      expect(targets.filter((target) => !isPlace(target))).toEqual([])
    })
  },
)

/** Whether it shows something: the audit of a server that is well never writes its line. */
function isSeen({ about, text }: Block): boolean {
  return about === '' || (text.includes('docker logs') && !text.includes('The audit found'))
}
