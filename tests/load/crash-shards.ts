import { isMainThread, type Worker } from 'node:worker_threads'

/** Shorter than a shard's back-off: each new life is ended soon after it began. */
const EVERY_MS = 150

// Preloaded into a server: from SIGUSR2 on its shard threads die again and again, without having a say.
if (isMainThread) {
  const workers = new Set<Worker>()
  process.on('worker', (worker: Worker) => {
    workers.add(worker)
    worker.once('exit', () => workers.delete(worker))
  })
  process.once('SIGUSR2', () => {
    setInterval(() => {
      for (const worker of workers) void worker.terminate()
    }, EVERY_MS).unref()
  })
}
