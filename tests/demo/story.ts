import type { TestClient } from '../support/client.ts'
import { bytesOf } from '../support/log-chain.ts'
import { addMembers, removeMember, updateKeys } from '../support/mls-changes.ts'
import { MlsClient } from '../support/mls-client.ts'
import type { MlsGroup } from '../support/mls-group.ts'
import { openReader, type StreamReader } from '../support/streams/stream-reader.ts'
import { heading, printTable, say } from './print.ts'

const LIST = new Intl.ListFormat('en-GB')

/** `stream`: the events of the conversation, as they come. */
type Person = { name: string; group: MlsGroup; stream: StreamReader }

/** Tells the whole story. False when members disagree, or when the removed one can still read. */
export async function tellStory(url: string, connect: (name: string) => TestClient): Promise<boolean> {
  console.log(`Alice, Bob and Carol chat through the server at ${url}.`)
  console.log('It orders and keeps what they send, but has no keys: it cannot read a word of it.')
  const people = await gather(url, connect)
  try {
    return await tellOf(people)
  } finally {
    for (const { stream } of people) await stream.close()
  }
}

async function tellOf(people: [Person, Person, Person]): Promise<boolean> {
  const [alice, bob, carol] = people
  await chat(people)
  await race(bob, carol)
  heading('All three have caught up and compare')
  const isAgreedBefore = await compare(people)
  await remove(alice, carol)
  const isShutOut = await talkWithout(carol, [alice, bob])
  heading('Who remains compares once more')
  const isAgreedAfter = await compare([alice, bob], carol)
  return isAgreedBefore && isShutOut && isAgreedAfter
}

/** Key packages, the conversation, the commit that adds, the Welcomes. */
async function gather(url: string, connect: (name: string) => TestClient): Promise<[Person, Person, Person]> {
  const callers = ['alice', 'bob', 'carol'].map(connect)
  const [alice, bob, carol] = callers.map((caller) => new MlsClient(caller))
  heading('Each publishes a key package: what others need to add them while they are away')
  for (const client of [alice!, bob!, carol!]) {
    const hash = await client.publishKeyPackage()
    say(`${client.did} publishes ${hash.slice(0, 16)}…`)
  }
  heading('Alice creates a conversation')
  const group = await alice!.createGroup()
  say(`Its id is ${group.convoId}; Alice is alone in it, in epoch ${group.epoch}.`)
  heading('Alice adds Bob and Carol: one commit, and a Welcome for each of their key packages')
  await addMembers(group, [bob!.did, carol!.did])
  say(`The server accepts the commit. It ended epoch 0; the conversation is in epoch ${group.epoch} now.`)
  heading('Bob and Carol open their Welcomes')
  const groups = [await bob!.join(group.convoId), await carol!.join(group.convoId)]
  say('Each has the keys of the group now and confirms its Welcome, which the server then gives out no more.')
  heading('Each opens a stream: what happened since it joined, and from now on what happens, comes by itself')
  const [a, b, c] = await Promise.all(
    callers.map(async (caller) => openReader('sse', { url, token: await caller.token(), cursor: '0' })),
  )
  say('Three connections with Server-Sent Events; a WebSocket would do as well.')
  return [
    { name: 'Alice', group, stream: a! },
    { name: 'Bob', group: groups[0]!, stream: b! },
    { name: 'Carol', group: groups[1]!, stream: c! },
  ]
}

async function chat(people: [Person, Person, Person]): Promise<void> {
  heading('They chat')
  const [alice, bob, carol] = people
  await write(alice, 'Hello Bob, hello Carol!')
  await listen(bob, carol)
  await write(bob, 'Hello Alice. Who else can read this?')
  await listen(alice, carol)
  await write(carol, 'Nobody. Not even the server.')
  await listen(alice, bob)
  const { messages } = await alice.group.caller.ok('getMessages', { convoId: alice.group.convoId, limit: 1 })
  const stored = bytesOf(messages[0]!.ciphertext)
  say(
    `All that the server has of that: ${stored.length} bytes, ending in ${stored.toString('hex').slice(-32)}`,
  )
}

async function race(...racers: [Person, Person]): Promise<void> {
  heading('Bob and Carol renew their keys at the same moment: only one commit can end an epoch')
  const epoch = racers[0].group.epoch
  const outcomes = await Promise.all(racers.map(({ group }) => updateKeys(group)))
  const won = outcomes[0]!.refusals.length === 0 ? 0 : 1
  const [winner, loser] = [racers[won]!, racers[1 - won]!]
  const [refusal] = outcomes[1 - won]!.refusals
  if (!refusal || outcomes[won]!.refusals.length > 0) throw new Error('the race had no single winner')
  say(
    `Both build on epoch ${epoch}. ${winner.name} is first; ${loser.name} is refused, and nothing of it stored:`,
  )
  say(`  ${refusal.error}: serverEpoch=${refusal.serverEpoch} expectedEpoch=${refusal.expectedEpoch}`)
  say(`${loser.name} applies ${winner.name}'s commit from getCommits, builds its own anew and succeeds.`)
  say(`${winner.name} made epoch ${epoch + 1}, ${loser.name} epoch ${loser.group.epoch}.`)
}

async function remove(remover: Person, removed: Person): Promise<void> {
  heading(`${remover.name} removes ${removed.name}`)
  await removeMember(remover.group, removed.group.caller.did)
  say(`The commit makes epoch ${remover.group.epoch}, whose keys ${removed.name} cannot know.`)
}

/** The others write on; false if the removed one can read any of it. */
async function talkWithout(removed: Person, others: [Person, Person]): Promise<boolean> {
  heading(`${others[0].name} and ${others[1].name} write on, and ${removed.name} tries to read it`)
  for (const writer of others) {
    await write(writer, `${writer.name} here, without ${removed.name}.`)
    await listen(...others.filter((other) => other !== writer))
  }
  const { group, name } = removed
  const { caller, convoId } = group
  const read = await receiveToTheEnd(removed)
  say(`The last thing on ${name}'s stream is the commit that removed her, and that her membership has ended.`)
  const { body } = await caller.call('getEpoch', { convoId })
  say(`Whatever else she asks for is refused: ${body.error}.`)
  const page = await others[0].group.caller.ok('getMessages', { convoId, limit: 2, type: 'app' })
  const leaked = await Promise.all(
    page.messages.map(({ ciphertext }) => group.decrypt(bytesOf(ciphertext)).catch(() => undefined)),
  )
  const isShutOut =
    group.isRemoved &&
    read.length === 0 &&
    removed.stream.events.at(-1)?.type === 'infoEvent' &&
    body.error === 'NotMember' &&
    leaked.every((text) => text === undefined)
  say(
    isShutOut
      ? 'Even if Bob hands her the encrypted messages, her keys do not open them.'
      : `FAILED: ${name} can read after her removal`,
  )
  return isShutOut
}

/** Takes what comes until the stream says that the membership has ended; the texts of others. */
async function receiveToTheEnd({ group, stream }: Person): Promise<string[]> {
  const texts: string[] = []
  for (;;) {
    const event = await stream.next(() => true)
    if (event.type === 'infoEvent' && event.info === 'membershipEnded') return texts
    const received = event.type === 'messageEvent' && (await group.receive(event.message))
    if (received && received.sender !== group.caller.did) texts.push(received.text)
  }
}

async function write({ name, group }: Person, text: string): Promise<void> {
  await group.send(text)
  say(`${name} writes "${text}"`)
}

/** Shows what comes over the stream, up to the newest entry that there is. */
async function listen(...people: Person[]): Promise<void> {
  for (const person of people) {
    const { lastSeq } = await person.group.caller.ok('getEpoch', { convoId: person.group.convoId })
    for (const text of await receiveUpTo(lastSeq!, person))
      say(`  to ${person.name}'s stream comes "${text}"`)
  }
}

/** Takes the entries from the stream: applies commits, decrypts messages; the texts of others. */
async function receiveUpTo(lastSeq: number, { group, stream }: Person): Promise<string[]> {
  const texts: string[] = []
  while (group.seq < lastSeq) {
    const { message } = await stream.next((event) => event.type === 'messageEvent')
    const received = await group.receive(message)
    if (received && received.sender !== group.caller.did) texts.push(received.text)
  }
  return texts
}

/** Prints where everyone stands; the removed one only for the record. True if the members and the server agree. */
async function compare(members: Person[], removed?: Person): Promise<boolean> {
  for (const { group } of members) await group.sync()
  const [first] = members.map(({ group }) => group)
  const server = await first!.caller.ok('getEpoch', { convoId: first!.convoId })
  const rows = members.map(row)
  printTable([
    ...rows,
    ...(removed
      ? [{ ...row(removed), note: `removed: reads nothing after entry ${removed.group.seq}` }]
      : []),
    { name: 'server', epoch: server.currentEpoch, logHash: server.logHash! },
  ])
  const isAgreed = rows.every(
    ({ epoch, epochAuthenticator, logHash }) =>
      epoch === server.currentEpoch &&
      epochAuthenticator === first!.epochAuthenticator &&
      logHash === server.logHash,
  )
  const names = LIST.format(members.map(({ name }) => name))
  say(
    isAgreed
      ? `EQUAL: ${names} agree on the epoch, the epoch authenticator and the logHash.`
      : `FAILED: ${names} do not agree.`,
  )
  return isAgreed
}

function row({ name, group: { epoch, epochAuthenticator, logHash } }: Person) {
  return { name, epoch, epochAuthenticator, logHash }
}
