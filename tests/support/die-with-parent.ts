import { isMainThread } from 'node:worker_threads'

// Preloaded into servers under test: a test runner that is killed must not leave its servers behind. The runner
// holds the other end of stdin and never writes. Threads of the server preload this too.
if (isMainThread) {
  process.stdin.on('end', () => process.kill(process.pid, 'SIGKILL'))
  process.stdin.resume()
  if ('unref' in process.stdin) process.stdin.unref()
}
