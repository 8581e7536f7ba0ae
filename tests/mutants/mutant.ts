type Edit = {
  /** Occurs exactly once in the file. */
  find: string
  replace: string
}

/** A test that must fail. */
export type Killer = {
  /** Path of the test file. */
  test: string
  /** Pattern that the test's full name matches; all tests of the file when absent. */
  filter?: string
  env?: Record<string, string>
}

/** A fault planted in a copy of the code. The tests are worth something only if its killer then fails. */
export type Mutant = Edit & {
  /** What the code then does wrong. */
  name: string
  file: string
  killer: Killer
  /** Where one fault stands in two places of the file, the other one. */
  also?: Edit
}

/** @throws Error when a snippet is not there exactly once */
export function applyEdits(text: string, { file, find, replace, also }: Mutant): string {
  const edits = also ? [{ find, replace }, also] : [{ find, replace }]
  return edits.reduce((current, edit) => {
    const [before, after, ...more] = current.split(edit.find)
    if (after === undefined || more.length > 0) {
      throw new Error(`${file} has this ${more.length > 0 ? 'more than once' : 'nowhere'}:\n${edit.find}`)
    }
    return `${before}${edit.replace}${after}`
  }, text)
}
