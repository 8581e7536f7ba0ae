import { SignJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import { Sessions } from './sessions.ts'

const TOKEN = 'token of the console of these tests'
const MINUTE_MS = 60_000

function start(token = TOKEN) {
  const clock = { nowMs: 1_800_000_000_000, now: () => clock.nowMs, sleep: async () => {} }
  return { clock, sessions: new Sessions(token, clock) }
}

describe('Sessions', () => {
  it('knows its token from all others', () => {
    const { sessions } = start()
    expect(sessions.isToken(TOKEN)).toBe(true)
    for (const other of ['', TOKEN.slice(1), `${TOKEN} `, TOKEN.toUpperCase()]) {
      expect(sessions.isToken(other)).toBe(false)
    }
  })

  it('ends after half an hour without use', async () => {
    const { clock, sessions } = start()
    const cookie = await sessions.begin()
    clock.nowMs += 29 * MINUTE_MS
    expect(await sessions.read(cookie)).toBeDefined()
    clock.nowMs += 2 * MINUTE_MS
    expect(await sessions.read(cookie)).toBeUndefined()
  })

  it('goes on while it is used, but for no more than twelve hours', async () => {
    const { clock, sessions } = start()
    let cookie = await sessions.begin()
    expect(await sessions.renew((await sessions.read(cookie))!)).toBeUndefined()
    for (let minutes = 20; minutes < 12 * 60; minutes += 20) {
      clock.nowMs += 20 * MINUTE_MS
      cookie = (await sessions.renew((await sessions.read(cookie))!))!
      expect(cookie).toBeDefined()
    }
    clock.nowMs += 21 * MINUTE_MS
    expect(await sessions.read(cookie)).toBeUndefined()
  })

  it('ends with all its cookies, and leaves others alone', async () => {
    const { clock, sessions } = start()
    const [first, other] = [await sessions.begin(), await sessions.begin()]
    clock.nowMs += 2 * MINUTE_MS
    const session = (await sessions.read(first))!
    const renewed = (await sessions.renew(session))!
    sessions.end(session)
    for (const cookie of [first, renewed]) expect(await sessions.read(cookie)).toBeUndefined()
    expect(await sessions.read(other)).toBeDefined()
  })

  it('takes no cookie that was signed with another token, or with the token itself, or not at all', async () => {
    const { sessions } = start()
    const forge = (key: Uint8Array) =>
      new SignJWT({ auth_time: 1_800_000_000 })
        .setProtectedHeader({ alg: 'HS256' })
        .setJti('0')
        .setAudience('catbird-ops')
        .setIssuedAt(1_800_000_000)
        .setExpirationTime(1_800_000_600)
        .sign(key)
    const unsigned = [
      { alg: 'none' },
      { jti: '0', aud: 'catbird-ops', iat: 1_800_000_000, exp: 1_800_000_600 },
    ]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.')
    const forged = [
      await start('another token of a console, as long').sessions.begin(),
      await forge(Buffer.from(TOKEN)),
    ]
    for (const cookie of [...forged, `${unsigned}.`, '', 'x'])
      expect(await sessions.read(cookie)).toBeUndefined()
  })
})
