import { describe, expect, it } from 'vitest'
import { LookupSlots } from './lookup-slots.ts'

const patient = () => new AbortController().signal

describe('LookupSlots', () => {
  it('lets the first in line in when one is released', async () => {
    const slots = new LookupSlots(1, 2)
    const order: string[] = []
    await slots.take(patient())
    const waiting = ['first', 'second'].map((name) => slots.take(patient()).then(() => order.push(name)))
    await expect(slots.take(patient())).rejects.toThrow('too many')
    slots.release()
    await waiting[0]
    expect(order).toEqual(['first'])
    slots.release()
    await waiting[1]
    expect(order).toEqual(['first', 'second'])
  })

  it('gives no slot to who has stopped waiting, and keeps no place for it', async () => {
    const slots = new LookupSlots(1, 1)
    await slots.take(patient())
    const hasty = new AbortController()
    const left = slots.take(hasty.signal)
    hasty.abort(new Error('no time'))
    await expect(left).rejects.toThrow('no time')
    const next = slots.take(patient())
    slots.release()
    await next
    slots.release()
    await slots.take(patient())
  })
})
