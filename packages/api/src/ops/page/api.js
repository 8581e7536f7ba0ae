const TIMEOUT_MS = 5000
/** Without it the server takes a cookie for something that another site made the browser send. */
const HEADERS = { 'X-Catbird-Console': '1' }

/** A refusal, with its HTTP status; 0 when there was no answer. */
class ApiError extends Error {
  constructor(status, message) {
    super(message)
    this.status = status
  }
}

async function call(method, path, query = {}, headers = {}) {
  let response
  try {
    response = await fetch(`/ops/api/${path}?${new URLSearchParams(query)}`, {
      method,
      headers: { ...HEADERS, ...headers },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
  } catch {
    throw new ApiError(0, 'the server does not answer')
  }
  const body = response.status === 204 ? undefined : await response.json().catch(() => undefined)
  if (!response.ok)
    throw new ApiError(response.status, body?.message ?? `the server answered ${response.status}`)
  return body
}

export const logIn = (token) => call('POST', 'session', {}, { Authorization: `Bearer ${token}` })
export const logOut = () => call('DELETE', 'session')
export const getOverview = (after) => call('GET', 'overview', { after })
export const getSettings = () => call('GET', 'settings')
export const getConvo = (convoId) => call('GET', 'convo', { convoId })
export const passivate = (convoId) => call('POST', 'passivate', { convoId })
export const drain = () => call('POST', 'drain')
