import { describe, expect, it } from 'vitest'
import type { KeyPackageFact } from '../conversation/facts.ts'
import { CONVO } from '../conversation/story.fixture.ts'
import { checkInvitation } from './invitation.ts'

const fresh: KeyPackageFact = { did: 'bob', hash: 'h1', ref: 'r1', lastResort: false, consumedBy: null }
const name = { did: 'bob', hash: 'h1' }

function invite(fact: Partial<KeyPackageFact>, more: Partial<Parameters<typeof checkInvitation>[0]> = {}) {
  const facts = { keyPackages: [{ ...fresh, ...fact }], formerMembers: [] }
  const base = { convoId: CONVO, dids: ['bob'], keyPackages: [name] }
  const result = checkInvitation({ ...base, ...more }, facts)
  return 'refusal' in result ? result.refusal.error : result.invitation
}

describe('a key package that is named', () => {
  it('is consumed, by its hash also when it is named by its reference', () => {
    expect(invite({})).toMatchObject({ consumed: [name] })
    expect(invite({}, { keyPackages: [{ did: 'bob', hash: 'r1' }, name] })).toMatchObject({
      consumed: [name],
    })
  })

  it('is not consumed when it is of last resort', () => {
    expect(invite({ lastResort: true })).toMatchObject({ consumed: [] })
  })

  it('may be named again by the conversation that consumed it and by no other', () => {
    expect(invite({ consumedBy: CONVO })).toMatchObject({ consumed: [] })
    expect(invite({ consumedBy: '0b' })).toBe('KeyPackageNotFound')
  })

  it('must be there, under that DID', () => {
    expect(invite({}, { keyPackages: [name, { did: 'bob', hash: 'h2' }] })).toBe('KeyPackageNotFound')
    expect(invite({}, { keyPackages: [{ did: 'carol', hash: 'h1' }] })).toBe('KeyPackageNotFound')
  })
})

describe('a Welcome', () => {
  const bytes = Buffer.from('welcome')

  it('must be for the key packages that are named', () => {
    expect(invite({}, { welcome: { bytes, newMembers: ['r1', 'r2'] } })).toBe('InvalidWelcome')
    expect(invite({}, { welcome: { bytes, newMembers: ['r1'] } })).toMatchObject({
      recipients: [{ did: 'bob', keyPackageHash: 'h1', keyPackageRef: 'r1' }],
    })
  })

  it('goes to everybody who is invited, with or without a key package', () => {
    expect(invite({}, { dids: ['bob', 'carol'], welcome: { bytes } })).toMatchObject({
      recipients: [{ did: 'bob', keyPackageHash: 'h1' }, { did: 'carol' }],
    })
  })
})
