import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { signDevToken } from '@catbird/api/auth/dev-token'
import { expect, it } from 'vitest'
import { TEST_AUDIENCE, TEST_SECRET } from './identity.ts'
import { checkLog, secretsIn } from './log-secrets.ts'

const lineWith = (field: string) => JSON.stringify({ level: 'INFO', msg: `Something about ${field}` })
const check = (field: string) => secretsIn(lineWith(field), [TEST_AUDIENCE])

it('finds tokens, DIDs and message bytes in a line', async () => {
  const token = await signDevToken(TEST_SECRET, { did: 'did:plc:alice', audience: 'x', ttlSeconds: 60 })
  expect(check(`Bearer ${token}`)).toContain('a token')
  expect(check('did:plc:alice23456alice23456alic')).toEqual(['a DID'])
  expect(check('did:web:alice.example.com')).toEqual(['a DID'])
  expect(check(randomBytes(100).toString('base64'))).toEqual(['bytes of a message'])
  expect(check(randomBytes(100).toString('base64url'))).toEqual(['bytes of a message'])
})

it('lets ids, hashes and the name of the service pass', () => {
  expect(check(randomBytes(64).toString('hex'))).toEqual([])
  expect(check(TEST_AUDIENCE)).toEqual([])
  expect(check('0197f4c2-7f0e-7c32-8d5e-2f1f6a9b7c11')).toEqual([])
})

it('counts the lines of a log and finds those that hold something', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'catbird-log-'))
  try {
    const path = join(directory, 'servers.log')
    const offending = lineWith('did:plc:alice23456alice23456alic')
    const lines = [lineWith(TEST_AUDIENCE), offending, 'Error: no JSON, as a crash prints it', lineWith('x')]
    await writeFile(path, `${lines.join('\n')}\n`)
    expect(await checkLog(path, [TEST_AUDIENCE])).toEqual({ lines: 4, found: [`a DID: ${offending}`] })
    expect((await checkLog(path, [])).found.length).toBe(2)
    await writeFile(path, '')
    expect(await checkLog(path, [])).toEqual({ lines: 0, found: [] })
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
})
