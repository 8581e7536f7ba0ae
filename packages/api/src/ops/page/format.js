const whole = new Intl.NumberFormat('en')
const fine = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 })
const short = new Intl.NumberFormat('en', { maximumFractionDigits: 1 })
const clock = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' })
const date = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' })

/** What is shown where there is nothing to show. */
export const NONE = '–'

const ifKnown = (format) => (value) => (value === null || value === undefined ? NONE : format(value))

export const count = ifKnown((value) => whole.format(value))
export const number = ifKnown((value) => fine.format(value))
export const percent = ifKnown((share) => `${short.format(share * 100)} %`)
export const perSecond = ifKnown((value) => `${fine.format(value)}/s`)
export const milliseconds = ifKnown((value) => `${fine.format(value)} ms`)
export const mebibytes = ifKnown((bytes) => `${fine.format(bytes / 2 ** 20)} MiB`)
export const time = ifKnown((value) => clock.format(new Date(value)))
export const dateTime = ifKnown((value) => date.format(new Date(value)))

/** Like “3 min”; a clock that is a little behind is no time at all. */
export const duration = ifKnown((ms) => {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 120) return `${seconds} s`
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} days`
})

/** Like “1 row” and “3 rows”. */
export const some = (value, one) => `${whole.format(value)} ${one}${value === 1 ? '' : 's'}`
