import { BroadcastChannel, isMainThread, threadId, type Worker } from 'node:worker_threads'

/** Longer than any test waits. */
const BLOCKED_MS = 120_000

// Preloaded into a server and its threads: on SIGUSR2 the thread that lives longest stands still, as in an endless loop.
const channel = new BroadcastChannel('block-shards')
channel.unref()
if (isMainThread) {
  const workers = new Set<Worker>()
  process.on('worker', (worker: Worker) => {
    workers.add(worker)
    worker.once('exit', () => workers.delete(worker))
  })
  process.on('SIGUSR2', () => {
    const [oldest] = workers
    channel.postMessage(oldest?.threadId)
  })
} else {
  channel.onmessage = ({ data }) => {
    if (data === threadId) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BLOCKED_MS)
  }
}
