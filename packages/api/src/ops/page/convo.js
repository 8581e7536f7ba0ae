import { getConvo, passivate } from './api.js'
import { ask, byId, element } from './dom.js'
import * as format from './format.js'

const OUTCOMES = {
  passivated: 'The actor has left memory.',
  leaving: 'The actor has work in hand and leaves memory as soon as that is done.',
  absent: 'There was no actor in memory.',
}

/** Looks a conversation up and shows it. */
export async function showConvo(convoId, note = '') {
  byId('convo-id').value = convoId
  try {
    const found = await getConvo(convoId)
    byId('convo').replaceChildren(element('div', { class: 'card' }, details(found), actions(found, note)))
  } catch (error) {
    byId('convo').replaceChildren(element('p', { class: 'card problem' }, `Not found out: ${error.message}.`))
  }
}

function details({ convoId, stored, place, actor }) {
  const rows = [
    ['Conversation', element('span', { class: 'id' }, convoId)],
    ...(stored ? storedRows(stored) : [['Database', 'There is no such conversation.']]),
    [
      'Runs in',
      place.executor === 'actor' ? `an actor on shard ${place.shard}` : 'transactions of its own (direct)',
    ],
    ...(place.executor === 'actor' ? actorRows(actor) : []),
  ]
  return element(
    'dl',
    { class: 'facts' },
    ...rows.flatMap(([title, value]) => [element('dt', {}, title), element('dd', {}, value)]),
  )
}

function storedRows({ epoch, seq, members, tracking, createdAt, lastAt }) {
  return [
    ['Epoch', format.count(epoch)],
    ['Last seq', format.count(seq)],
    ['Members', format.count(members)],
    ['Epochs are', tracking],
    ['Created', format.dateTime(createdAt)],
    ['Last change', format.dateTime(lastAt)],
  ]
}

function actorRows(actor) {
  if (!actor) return [['Actor', 'Its shard does not answer.']]
  if (!actor.isResident) return [['Actor', 'Not in memory: the next command loads it.']]
  const { lastBatch, mailboxDepth, mailboxBytes, unsettledUnits, isBlocked, lastActiveMs } = actor
  return [
    ['Actor', isBlocked ? 'In memory, waits for the outcome of a write or for the row’s lock' : 'In memory'],
    ['Last command', format.time(lastActiveMs)],
    ['Mailbox', `${format.some(mailboxDepth, 'command')}, ${format.some(mailboxBytes, 'byte')}`],
    ['Batches on their way', format.count(unsettledUnits)],
    [
      'Last batch',
      lastBatch
        ? `${format.time(lastBatch.writtenAtMs)}: ${format.some(lastBatch.rows, 'row')} of ${format.some(lastBatch.conversations, 'conversation')} in ${format.milliseconds(lastBatch.seconds * 1000)}`
        : 'None since it was loaded',
    ],
  ]
}

function actions({ convoId, place, actor }, note) {
  const again = element('button', { type: 'button', onclick: () => showConvo(convoId) }, 'Look again')
  const leave = element(
    'button',
    { type: 'button', id: 'passivate', onclick: () => askToPassivate(convoId) },
    'Passivate…',
  )
  leave.hidden = place.executor !== 'actor' || !actor?.isResident
  return element(
    'div',
    { class: 'actions card-actions' },
    again,
    leave,
    element('span', { id: 'convo-note' }, note),
  )
}

async function askToPassivate(convoId) {
  const isMeant = await ask({
    title: 'Passivate this actor?',
    text: 'It leaves memory when it has nothing in hand. Nothing is lost: its next command reads the conversation from the database again.',
    yes: 'Passivate',
  })
  if (!isMeant) return
  try {
    const { outcome } = await passivate(convoId)
    await showConvo(convoId, OUTCOMES[outcome])
  } catch (error) {
    byId('convo-note').textContent = `Not done: ${error.message}.`
  }
}
