import { drain, getOverview, getSettings, logIn, logOut } from './api.js'
import { Charts } from './charts.js'
import { showConvo } from './convo.js'
import { ask, byId } from './dom.js'
import { duration } from './format.js'
import { showConflicts, showHot, showRestarts, showSettings, showShards, showTiles } from './tables.js'

const POLL_MS = 2000
/** Samples may miss so often before they are called late. */
const LATE_SAMPLES = 3

const charts = new Charts(byId('charts'))
let overview
let lastAnswerMs = 0
let problem
let timer
/** Counts questions: the answer of one that has been overtaken is not shown. */
let round = 0

byId('login-form').addEventListener('submit', (event) => {
  event.preventDefault()
  void startSession(byId('token').value)
})
byId('logout').addEventListener('click', () => logOut().finally(() => showLogin('')))
byId('drain').addEventListener('click', askToDrain)
byId('convo-form').addEventListener('submit', (event) => {
  event.preventDefault()
  void showConvo(byId('convo-id').value.trim())
})
byId('span').addEventListener('change', (event) => charts.show(Number(event.target.value)))
document.addEventListener('visibilitychange', () => {
  if (!document.hidden && !byId('console').hidden) void poll()
})
setInterval(showState, 1000)
void poll()

async function startSession(token) {
  try {
    await logIn(token)
    byId('token').value = ''
    byId('login-problem').textContent = ''
    await poll()
  } catch (error) {
    byId('login-problem').textContent = error.status === 401 ? 'This is not the token.' : `${error.message}.`
  }
}

function showLogin(message) {
  clearTimeout(timer)
  round++
  overview = undefined
  charts.clear()
  byId('console').hidden = true
  byId('login').hidden = false
  byId('login-problem').textContent = message
  byId('token').focus()
}

/** One question, and the next one after a pause; none while nobody looks at the page. */
async function poll() {
  clearTimeout(timer)
  const mine = ++round
  try {
    await refresh(mine)
    if (mine !== round) return
    problem = undefined
  } catch (error) {
    if (mine !== round) return
    if (error.status === 401) return showLogin(overview ? 'The session is over.' : '')
    problem = error
    if (!overview) byId('login').hidden = false
    if (!overview) byId('login-problem').textContent = `${error.message}.`
  }
  showState()
  if (!document.hidden) timer = setTimeout(poll, POLL_MS)
}

async function refresh(mine) {
  let answer = await getOverview(overview?.samples.last ?? 0)
  const isOther = answer.life !== overview?.life
  if (isOther && overview) answer = await getOverview(0)
  const isFirst = byId('console').hidden
  const settings = isOther || isFirst ? await getSettings() : undefined
  if (mine !== round) return
  byId('login').hidden = true
  byId('console').hidden = false
  if (isOther) charts.clear()
  if (settings) showSettings(settings)
  lastAnswerMs = Date.now()
  charts.add(answer.samples)
  // Between two samples nothing new is there to be shown.
  if (answer.samples.atMs.length > 0) showTiles(answer)
  showShards(answer)
  showHot(answer, showFoundConvo)
  showConflicts(answer, showFoundConvo)
  showRestarts(answer)
  const sampledAtMs = answer.samples.atMs.at(-1) ?? (isOther ? answer.nowMs : overview.sampledAtMs)
  overview = { ...answer, sampledAtMs }
}

function showFoundConvo(convoId) {
  void showConvo(convoId)
  byId('convo-title').scrollIntoView({ block: 'nearest' })
}

/** Whether what is shown is what is. */
function showState() {
  if (!overview) return
  const silentMs = Date.now() - lastAnswerMs
  const lateMs = overview.nowMs - overview.sampledAtMs
  const isLate = lateMs > LATE_SAMPLES * overview.sampleMs
  const [kind, text, notice] = problem
    ? ['gone', 'no answer', `${sentence(problem)} What is below is ${duration(silentMs)} old.`]
    : isLate
      ? ['late', 'late', `The last sample is ${duration(lateMs)} old.`]
      : overview.isDraining
        ? ['late', 'draining', 'The server finishes what it has accepted and then ends.']
        : ['live', 'live', '']
  const { isEnabled, rolloutPercent } = overview.actors
  const executor = isEnabled
    ? `actors for ${rolloutPercent} % of conversations on ${overview.shards.length} shard${overview.shards.length === 1 ? '' : 's'}`
    : 'actors off'
  byId('about').textContent =
    `version ${overview.version} · ${executor} · up for ${duration(overview.nowMs - overview.startedAtMs)}`
  byId('state').textContent = text
  byId('state').className = `state ${kind}`
  byId('notice').hidden = notice === ''
  byId('notice').className = `notice ${kind}`
  if (byId('notice').textContent !== notice) byId('notice').textContent = notice
  byId('console').classList.toggle('stale', kind === 'gone')
  byId('drain').disabled = overview.isDraining || kind === 'gone'
}

function sentence({ status, message }) {
  return status === 0 ? 'The server does not answer.' : `The server refuses: ${message}.`
}

async function askToDrain() {
  const isMeant = await ask({
    title: 'Drain this server?',
    text: 'As on SIGTERM: it takes no new requests, finishes what it has accepted, closes all streams with their cursor and ends with exit code 0. Whether it starts again is up to what supervises it.',
    yes: 'Drain and stop',
    word: 'drain',
  })
  if (!isMeant) return
  try {
    await drain()
    overview.isDraining = true
  } catch (error) {
    problem = error
  }
  showState()
}
