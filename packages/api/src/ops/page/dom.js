/** The element of the page with this id. */
export const byId = (id) => document.getElementById(id)

/** A new element. `attributes.on…` are listeners; children are elements or text. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value)
    else if (value !== undefined && value !== false) made.setAttribute(name, value === true ? '' : value)
  }
  made.append(...children)
  return made
}

/** Replaces what is in an element; what had the focus keeps it when it comes again with its `data-key`. */
export function replaceContent(parent, ...children) {
  const focused = document.activeElement
  const key = parent.contains(focused) ? focused.dataset.key : undefined
  const { scrollLeft, scrollTop } = parent
  parent.replaceChildren(...children)
  parent.scrollTo(scrollLeft, scrollTop)
  if (key === undefined) return
  const again = [...parent.querySelectorAll('[data-key]')].find((child) => child.dataset.key === key)
  again?.focus({ preventScroll: true })
}

/** Asks in a dialog; with a `word`, that must be typed. Resolves with whether the answer is yes. */
export function ask({ title, text, yes, word }) {
  const [dialog, input, button, label] = ['ask', 'ask-word', 'ask-yes', 'ask-label'].map(byId)
  byId('ask-title').textContent = title
  byId('ask-text').textContent = text
  button.textContent = yes
  label.textContent = word === undefined ? '' : `Type “${word}” to go on`
  for (const part of [label, input]) part.hidden = word === undefined
  input.value = ''
  const check = () => {
    button.disabled = word !== undefined && input.value.trim() !== word
  }
  check()
  input.oninput = check
  input.onkeydown = (event) => {
    // Enter would press the first button, which says no.
    if (event.key !== 'Enter') return
    event.preventDefault()
    if (!button.disabled) dialog.close('yes')
  }
  dialog.returnValue = 'no'
  dialog.showModal()
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true })
  })
}
