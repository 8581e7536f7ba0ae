import { describe, expect, it } from 'vitest'
import { commit, create, leave, send } from './commands.ts'
import { type SmallCase, SmallWorld } from './small-world.ts'

const MEMBERS = { initialMembers: ['bob', 'carol'], epoch: 0 }

function createOther(name: string, caller: string, key?: string) {
  const idempotency = key === undefined ? undefined : { key, contentHash: `content of ${key}` }
  return create(name, caller, { convoId: '0b', idempotency, ...MEMBERS })
}

type Commands = SmallCase['commands']

const COMMITS: Commands = [
  [0, commit('commit 1', 'alice', 0)],
  [0, send('message', 'alice', 0)],
  [1, commit('commit 2', 'bob', 0)],
  [1, leave('departure', 'carol')],
]

const CREATION: Commands[number] = [0, createOther('creation 1', 'alice', 'key')]
const ITS_REPEAT: Commands[number] = [0, createOther('creation 1 again', 'alice', 'key')]
const ITS_REPEAT_ELSEWHERE: Commands[number] = [1, createOther('creation 1 elsewhere', 'alice', 'key')]
const RIVAL: Commands[number] = [1, createOther('creation 2', 'bob')]
const CREATIONS = [CREATION, ITS_REPEAT, ITS_REPEAT_ELSEWHERE, RIVAL]

const RACE = 'two commits for one epoch, a message and a departure'
const ACTORS: SmallCase['owners'] = ['actor', 'actor']
const MIXED: SmallCase['owners'] = ['actor', 'direct']

describe('small world, explored completely', () => {
  it.each([
    { what: RACE, owners: ACTORS, failures: 0, commands: COMMITS },
    { what: RACE, owners: MIXED, failures: 0, commands: COMMITS },
    { what: RACE, owners: ACTORS, failures: 1, commands: COMMITS },
    { what: RACE, owners: MIXED, failures: 1, commands: COMMITS },
    { what: 'two creations and repeats', owners: ACTORS, failures: 0, commands: CREATIONS },
    { what: 'two creations and repeats', owners: MIXED, failures: 0, commands: CREATIONS },
    {
      what: 'two creations and a repeat',
      owners: ACTORS,
      failures: 1,
      commands: [CREATION, ITS_REPEAT_ELSEWHERE, RIVAL],
    },
    {
      what: 'a creation and a repeat',
      owners: MIXED,
      failures: 1,
      commands: [CREATION, ITS_REPEAT_ELSEWHERE],
    },
  ])('$what; owners $owners, failures $failures', { timeout: 300_000 }, async (smallCase) => {
    const world = new SmallWorld({ ...smallCase, before: create('creation', 'alice', MEMBERS) })
    const startedMs = performance.now()
    const problems = await world.explore()
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
    const { runs, pruned, deepest, failed } = world
    const how = `${failed} with a failure, ${pruned} cut as repeats, up to ${deepest} steps, ${seconds} s`
    console.log(`${smallCase.what}, ${smallCase.owners}: all ${runs} schedules (${how})`)
    expect(problems).toEqual([])
  })
})
