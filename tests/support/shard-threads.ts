import type { Worker } from 'node:worker_threads'

const workers: Worker[] = []
// Where a thread begins, so that tests can end it from outside as a crash would.
process.on('worker', (worker: Worker) => {
  workers.push(worker)
  worker.once('exit', () => workers.splice(workers.indexOf(worker), 1))
})

/** Ends the shard threads that run in this process, without their having a say. */
export async function killShardThreads(): Promise<void> {
  await Promise.all(workers.map((worker) => worker.terminate()))
}
