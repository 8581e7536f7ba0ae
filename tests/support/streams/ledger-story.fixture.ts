import { sha256 } from '../log-chain.ts'
import type { TruthRow } from './convo-truth.ts'
import type { StreamEvent } from './event-check.ts'
import type { ReaderTruth } from './judge-delivery.ts'

type Told = 'told' | 'untold' | 'ended'
type Line = [
  convoId: string,
  kind: TruthRow['kind'],
  sender: string,
  told: Told,
  added?: string,
  removed?: string,
]

/** Two conversations in the order of their commits; `told`: bob hears of it. */
const SCRIPT: Line[] = [
  ['aa', 'created', 'alice', 'untold'],
  ['aa', 'joined', 'alice', 'told', 'bob carol'],
  ['aa', 'app', 'alice', 'told'],
  ['aa', 'commit', 'alice', 'told', 'dave'],
  ['bb', 'created', 'carol', 'untold'],
  ['bb', 'app', 'carol', 'untold'],
  ['aa', 'left', 'carol', 'told', '', 'carol'],
  ['aa', 'app', 'bob', 'told'],
  ['bb', 'commit', 'carol', 'told', 'bob'],
  ['bb', 'welcome', 'carol', 'told'],
  ['bb', 'app', 'carol', 'told'],
  ['aa', 'commit', 'alice', 'ended', 'frank', 'bob'],
  ['aa', 'app', 'alice', 'untold'],
  ['aa', 'commit', 'alice', 'untold', 'erin'],
  ['bb', 'app', 'bob', 'told'],
  ['aa', 'commit', 'alice', 'told', 'bob'],
  ['aa', 'app', 'dave', 'told'],
  ['bb', 'app', 'carol', 'told'],
  ['aa', 'app', 'alice', 'told'],
]

const INTERVALS = {
  aa: [
    { joinedN: 2, leftN: 7, fromSeq: 1, toSeq: 4 },
    { joinedN: 10, leftN: null, fromSeq: 7, toSeq: null },
  ],
  bb: [{ joinedN: 3, leftN: null, fromSeq: 2, toSeq: null }],
}

export type Story = {
  truth: ReaderTruth
  events: StreamEvent[]
  /** Of each event the number of its row in the order of commits; a stream goes on from cursor `c5` with row 5. */
  lines: number[]
}

/** What the database has, and what bob's stream from the oldest event on is. */
export function tellStory(): Story {
  const rows: Record<string, TruthRow[]> = { aa: [], bb: [] }
  const events: StreamEvent[] = []
  const lines: number[] = []
  for (const [index, [convoId, kind, sender, told, added = '', removed = '']] of SCRIPT.entries()) {
    const row = rowOf(rows[convoId]!, kind, did(sender), dids(added), dids(removed))
    const of = told === 'untold' ? [] : eventsOf(convoId, row, seqOf(rows[convoId]!), told)
    // A cursor says that everything up to it was had, so only the last event of a row moves it.
    for (const [at, event] of of.entries()) {
      events.push({ ...event, cursor: `c${at === of.length - 1 ? index + 1 : index}` })
      lines.push(index)
    }
  }
  const convos = (['aa', 'bb'] as const).map((convoId) => {
    return { convoId, rows: rows[convoId]!, intervals: INTERVALS[convoId] }
  })
  return { truth: { did: did('bob'), convos }, events, lines }
}

export function did(name: string): string {
  return `did:plc:${name}`
}

function dids(names: string): string[] {
  return names.split(' ').filter(Boolean).map(did)
}

function rowOf(
  rows: TruthRow[],
  kind: TruthRow['kind'],
  sender: string,
  added: string[],
  removed: string[],
): TruthRow {
  const n = rows.length + 1
  const isEntry = kind === 'app' || kind === 'commit'
  const row: TruthRow = {
    n,
    seq: isEntry ? seqOf(rows) + 1 : null,
    kind,
    epoch: rows.filter((one) => one.kind === 'commit').length,
    sender,
    sha256: isEntry ? sha256(contentOf(n)) : null,
    logHash: isEntry ? sha256(Buffer.from(`hash ${n}`)) : null,
    added,
    removed,
  }
  rows.push(row)
  return row
}

function seqOf(rows: readonly TruthRow[]): number {
  return rows.filter(({ seq }) => seq !== null).length
}

function contentOf(n: number): Buffer {
  return Buffer.from(`content of row ${n}`)
}

function eventsOf(convoId: string, row: TruthRow, seq: number, told: Told): StreamEvent[] {
  const cursor = ''
  if (row.kind === 'welcome') return [{ type: 'welcomeEvent', cursor, convoId }]
  const change = (who: string, action: 'joined' | 'left' | 'removed'): StreamEvent => {
    return { type: 'membershipEvent', cursor, convoId, did: who, action, seq }
  }
  return [
    ...(row.seq === null ? [] : [messageOf(convoId, row)]),
    ...row.removed!.map((who) => change(who, row.kind === 'left' ? 'left' : 'removed')),
    ...row.added!.map((who) => change(who, 'joined')),
    ...(told === 'ended' ? [{ type: 'infoEvent' as const, cursor, info: 'membershipEnded', convoId }] : []),
  ]
}

function messageOf(convoId: string, { n, seq, kind, epoch, sender, logHash }: TruthRow): StreamEvent {
  return {
    type: 'messageEvent',
    cursor: '',
    message: {
      id: `${n}`,
      convoId,
      sender,
      ciphertext: { $bytes: contentOf(n).toString('base64') },
      epoch,
      seq: seq!,
      createdAt: '2026-11-24T11:22:33.444Z',
      messageType: kind === 'commit' ? 'commit' : 'app',
      logHash: logHash!,
    },
  }
}
