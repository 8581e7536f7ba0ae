import { byId, element, replaceContent } from './dom.js'
import * as format from './format.js'

const HIGH = 0.9

/** @param columns title of each column, and the class of its cells */
function table(columns, rows, empty) {
  const head = columns.map(([title, kind]) => element('th', { scope: 'col', class: kind }, title))
  const body = rows.map(({ cells, kind }) =>
    element('tr', { class: kind }, ...cells.map((cell, i) => element('td', { class: columns[i][1] }, cell))),
  )
  const nothing = element('tr', {}, element('td', { colspan: columns.length, class: 'empty' }, empty))
  return element(
    'table',
    {},
    element('thead', {}, element('tr', {}, ...head)),
    element('tbody', {}, ...(body.length > 0 ? body : [nothing])),
  )
}

/** A conversation that can be looked up. */
function convoButton(convoId, place, onConvo) {
  const label = convoId.length > 24 ? `${convoId.slice(0, 21)}…` : convoId
  const attributes = { type: 'button', class: 'link id', title: convoId, 'data-key': `${place} ${convoId}` }
  return element('button', { ...attributes, onclick: () => onConvo(convoId) }, label)
}

const placeOf = ({ executor, shard }) => (executor === 'actor' ? `actor, shard ${shard}` : 'direct')

export function showTiles({ shards, samples, actors }) {
  const { utilization, commandsPerS } = samples.charts
  const last = (values) => values?.at(-1) ?? null
  const sum = (values) => values.reduce((all, value) => all + (value ?? 0), 0)
  const figures = shards.map(({ figures }) => figures).filter(Boolean)
  const direct = last(commandsPerS.values[0])
  const busiest = figures.length > 0 ? Math.max(...figures.map((of) => of.utilization)) : null
  const slowest = Math.max(...figures.map((of) => of.batchMs ?? 0), 0)
  const up = shards.filter(({ state }) => state === 'up').length
  const front = last(utilization.values[0])
  const tiles = [
    ['Commands answered', format.perSecond(sum(figures.map((of) => of.commandsPerS)) + direct)],
    ['Front thread busy', format.percent(front), front > HIGH && 'warn'],
    ...(actors.isEnabled
      ? [
          ['Busiest shard', format.percent(busiest), busiest > HIGH && 'warn'],
          ['Shards up', `${up} of ${shards.length}`, up < shards.length && 'bad'],
          ['Actors in memory', format.count(sum(figures.map((of) => of.actors)))],
          ['Commands that wait', format.count(sum(figures.map((of) => of.mailbox)))],
          ['Slowest batches', slowest > 0 ? format.milliseconds(slowest) : format.NONE],
        ]
      : [['Actor system', 'off']]),
  ]
  const made = tiles.map(([title, value, kind]) =>
    element(
      'div',
      { class: 'tile' },
      element('dt', { class: 'tile-name' }, title),
      element('dd', { class: kind }, value),
    ),
  )
  byId('tiles').replaceChildren(...made)
}

const SHARD_COLUMNS = [
  ['Shard'],
  ['State'],
  ['Busy', 'number'],
  ['Commands', 'number'],
  ['Actors', 'number'],
  ['Waiting', 'number'],
  ['Fullest mailbox', 'number'],
  ['Rows in a batch', 'number'],
  ['Batch, mean', 'number'],
  ['Batch, slowest', 'number'],
  ['Heap', 'number'],
  ['Restarts', 'number'],
]

export function showShards({ shards, actors }) {
  const rows = shards.map(({ shard, state, restarts, figures }) => {
    const of = figures ?? {}
    const slowest =
      of.batchAtMostMs === undefined || of.batchAtMostMs === null
        ? format.NONE
        : `≤ ${format.milliseconds(of.batchAtMostMs)}`
    const heap = figures
      ? `${format.mebibytes(of.heapUsedBytes)} of ${format.mebibytes(of.heapLimitBytes)}`
      : format.NONE
    return {
      cells: [
        String(shard),
        element(
          'span',
          { class: state === 'up' ? 'good' : 'bad' },
          figures || state !== 'up' ? state : `${state}, no answer`,
        ),
        element('span', { class: of.utilization > HIGH && 'warn' }, format.percent(of.utilization)),
        format.perSecond(of.commandsPerS),
        format.count(of.actors),
        format.count(of.mailbox),
        format.count(of.deepestMailbox),
        format.number(of.batchRows),
        format.milliseconds(of.batchMs),
        slowest,
        heap,
        element('span', { class: restarts > 0 && 'warn' }, String(restarts)),
      ],
    }
  })
  const off =
    'The actor system is off (ENABLE_ACTOR_SYSTEM=false): every command runs in a transaction of its own.'
  const content = actors.isEnabled
    ? table(SHARD_COLUMNS, rows, 'None.')
    : element('p', { class: 'empty' }, off)
  replaceContent(byId('shards'), content)
}

export function showHot({ hot }, onConvo) {
  const rows = hot.map((convo) => ({
    cells: [
      convoButton(convo.convoId, 'hot', onConvo),
      convo.atMost > convo.commands
        ? `${format.count(convo.commands)} to ${format.count(convo.atMost)}`
        : format.count(convo.commands),
      placeOf(convo),
    ],
  }))
  const columns = [['Conversation'], ['Commands', 'number'], ['Runs in']]
  replaceContent(byId('hot'), table(columns, rows, 'No commands in the last minute.'))
}

export function showConflicts({ conflicts }, onConvo) {
  const rows = conflicts.map((conflict) => ({
    cells: [
      format.time(conflict.atMs),
      convoButton(conflict.convoId, conflict.requestId, onConvo),
      conflict.command,
      `${conflict.expectedEpoch} for ${conflict.serverEpoch}`,
      conflict.executor,
    ],
  }))
  const columns = [['Time'], ['Conversation'], ['Command'], ['Epoch', 'number'], ['Runs in']]
  replaceContent(byId('conflicts'), table(columns, rows, 'None since the server started.'))
}

export function showRestarts({ restarts }) {
  const rows = restarts.map(({ atMs, shard, reason }) => ({
    cells: [format.dateTime(atMs), String(shard), reason.replaceAll('_', ' ')],
  }))
  replaceContent(
    byId('restarts'),
    table([['Time'], ['Shard'], ['Reason']], rows, 'None since the server started.'),
  )
}

export function showSettings({ settings }) {
  const rows = settings.map(({ name, value, defaultText, isChanged, about }) => ({
    kind: isChanged ? 'changed' : undefined,
    cells: [element('code', {}, name), element('code', {}, value), defaultText, about],
  }))
  const columns = [['Variable'], ['Value', 'wide'], ['Default', 'wide'], ['Meaning', 'wide']]
  replaceContent(byId('settings'), table(columns, rows, ''))
}
