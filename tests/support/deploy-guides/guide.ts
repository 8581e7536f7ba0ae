import { readFileSync } from 'node:fs'
import { ROOT } from '../deploy/scripts.ts'

/** A fenced block. `about`: what stands behind the language: `docker`, `kubectl`, `long`, `life`, `change`, or nothing. */
export type Block = {
  guide: string
  line: number
  /** The heading above it. */
  section: string
  language: string
  about: string
  text: string
}

export type Heading = { level: number; text: string; anchor: string }

/** One of the guides in deploy/, taken apart. */
export class Guide {
  readonly name: string
  readonly blocks: Block[]
  readonly headings: Heading[]
  /** What stands between single backticks, outside of blocks. */
  readonly codes: string[]
  /** Targets of links. */
  readonly links: string[]
  readonly #text: string

  constructor(name: string) {
    this.name = name
    const text = readFileSync(`${ROOT}deploy/${name}`, 'utf8')
    this.#text = text
    this.blocks = readBlocks(name, text)
    const prose = text.replace(/^```.*?^```$/gms, '')
    this.codes = codesIn(prose)
    this.links = Array.from(prose.matchAll(/\]\(([^)]+)\)/g), ([, target]) => target!)
    this.headings = Array.from(prose.matchAll(/^(#+) (.+)$/gm), ([, marks, title]) => {
      return { level: marks!.length, text: title!, anchor: anchorOf(title!) }
    })
  }

  blocksOf(language: string, about?: string): Block[] {
    return this.blocks.filter(
      (block) => block.language === language && (about === undefined || block.about === about),
    )
  }

  /** All below this heading, until one of its own level. */
  section(title: string): { text: string; headings: string[]; codes: string[] } {
    const [, marks] = new RegExp(`^(#+) ${title}$`, 'm').exec(this.#text) ?? []
    if (marks === undefined) throw new Error(`${this.name} has no heading ${title}`)
    const rest = this.#text.split(`\n${marks} ${title}\n`)[1]!
    const text = rest.split(new RegExp(`^#{1,${marks.length}} `, 'm'))[0]!
    const headings = Array.from(text.matchAll(new RegExp(`^${marks}# (.+)$`, 'gm')), ([, inner]) => inner!)
    return { text, headings, codes: codesIn(text.replace(/^```.*?^```$/gms, '')) }
  }

  /** All that is named in prose, and all that is typed. */
  get words(): string[] {
    return [...this.codes, ...this.blocks.map(({ text }) => text)]
  }
}

function codesIn(prose: string): string[] {
  return Array.from(prose.matchAll(/`([^`]+)`/g), ([, code]) => code!.replace(/\s+/g, ' '))
}

function readBlocks(guide: string, text: string): Block[] {
  return Array.from(text.matchAll(/^```(\w+) ?(\w*)\n(.*?)^```$/gms), (match) => {
    const [, language = '', about = '', content = ''] = match
    const above = text.slice(0, match.index)
    const section = above.match(/^#+ .+$/gm)?.at(-1) ?? ''
    return { guide, line: above.split('\n').length, section, language, about, text: content }
  })
}

/** As GitHub makes it. */
function anchorOf(title: string): string {
  return title
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-')
}
