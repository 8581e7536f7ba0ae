/** Something wrong at one place of a conversation. */
export type Fault = { convoId: string; seq: number; detail?: string }

/** What is wrong with what one reader got: nothing, when every event arrived as it should. */
export type Faults = {
  /** Entries that it could read, after the place where it began, and never got. */
  missed: Fault[]
  /** Entries and changes that came after a later one of the same conversation. */
  outOfOrder: Fault[]
  /** Entries that a connection passed over, though it had come from before to after them. */
  gaps: Fault[]
  /** Entries and changes that the log does not have in this form. */
  altered: Fault[]
  /** What the reader got of a time when it was no member, or of a conversation that it did not ask for. */
  unreadable: Fault[]
  /** Entries and changes that came again, although the connection had already gone on to new ones. */
  repeats: Fault[]
  /** Others who joined, left or were removed while the reader was a member, of which it never heard. */
  missedChanges: Fault[]
  /** Its own memberships that ended without a word. */
  missedEnds: Fault[]
}

export type Verdict = Faults & {
  /** Messages and commits that came, repeats included. */
  entries: number
  /** Those that had come before. */
  repeated: number
}

const SHOWN = 5

export function emptyVerdict(): Verdict {
  return {
    missed: [],
    outOfOrder: [],
    gaps: [],
    altered: [],
    unreadable: [],
    repeats: [],
    missedChanges: [],
    missedEnds: [],
    entries: 0,
    repeated: 0,
  }
}

/** A line for each kind of fault that there is, with the first few. */
export function faultLines({ entries: _entries, repeated: _repeated, ...faults }: Verdict): string[] {
  return Object.entries(faults)
    .filter(([, list]) => list.length > 0)
    .map(([kind, list]) => {
      const places = list.slice(0, SHOWN).map(placeOf)
      return `${list.length} ${kind}: ${places.join(', ')}${list.length > SHOWN ? ', …' : ''}`
    })
}

function placeOf({ convoId, seq, detail }: Fault): string {
  return `${convoId}/${seq}${detail === undefined ? '' : ` (${detail})`}`
}
