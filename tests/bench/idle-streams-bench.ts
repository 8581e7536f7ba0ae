import { execFileSync } from 'node:child_process'
import { systemClock } from '@catbird/shared/clock'
import { Scrape } from '../support/scrape.ts'
import type { ServerProcess } from '../support/server-process.ts'
import { dids, forEach, inGroups, StreamsBench } from './streams-bench.ts'

/** In bytes: of the process, and what its main thread's heap and buffers take. */
type Memory = { resident: number; heap: number }

/**
 * Lets a server collect its garbage when it is told to. The young generation, which grows by up to 100 MB whatever
 * allocates, and once, is kept small: it would count as memory of the streams that happened to be opened then.
 */
const COLLECTING = {
  NODE_OPTIONS: `--max-semi-space-size=2 --expose-gc --import=data:text/javascript,process.on('SIGUSR2',()=>gc())`,
}
const SETTLE_MS = 1000
const CONVOS_EACH = 3
const MEMBERS_EACH = 20
const FIRST_STREAMS = 200
/** That this process and the server need beside those of the streams. */
const OTHER_FILES = 300

/** Bytes by which the server grows for each idle stream after the first ones, without garbage. */
export function measureIdleStreams(url: string, wanted: number): Promise<Memory & { streams: number }> {
  const streams = Math.min(wanted, maxOpenFiles() - OTHER_FILES - FIRST_STREAMS)
  const all = dids(streams + FIRST_STREAMS)
  const members = Array.from({ length: CONVOS_EACH }, () => inGroups(all, MEMBERS_EACH)).flat()
  const run = async (bench: StreamsBench) => {
    await forEach(all.slice(0, FIRST_STREAMS), (did) => bench.open(did, 'sse'))
    const before = await readMemory(bench.server)
    await forEach(all.slice(FIRST_STREAMS), (did) => bench.open(did, 'sse'))
    const after = await readMemory(bench.server)
    bench.checkReaders()
    const growth = (of: keyof Memory) => (after[of] - before[of]) / streams
    return { streams, resident: growth('resident'), heap: growth('heap') }
  }
  return StreamsBench.use(url, members, run, COLLECTING)
}

async function readMemory(server: ServerProcess): Promise<Memory> {
  // What the first collection lets go of, the second one finds.
  for (let i = 0; i < 2; i++) {
    await systemClock.sleep(SETTLE_MS)
    server.signal('SIGUSR2')
  }
  await systemClock.sleep(SETTLE_MS)
  const scrape = await Scrape.of(server.url)
  const heap = scrape.value('nodejs_heap_size_used_bytes') + scrape.value('nodejs_external_memory_bytes')
  return { resident: scrape.value('process_resident_memory_bytes'), heap }
}

/** The hard limit: Node raises the soft one to it when it starts. */
function maxOpenFiles(): number {
  const limit = Number(execFileSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }))
  return Number.isNaN(limit) ? Number.MAX_SAFE_INTEGER : limit
}
