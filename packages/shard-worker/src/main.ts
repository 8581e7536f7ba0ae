import type { ShardAnswers, ShardTask } from '@catbird/shared/shard-protocol'
import { RunningShard } from './running-shard.ts'

let running: RunningShard | undefined

/** Entry of a shard's thread: its pool calls this for every control task; commands come over the port. */
export default async function runTask(task: ShardTask): Promise<ShardAnswers[ShardTask['type']]> {
  switch (task.type) {
    case 'start':
      running = await RunningShard.start(task.settings, task.port)
      return undefined
    case 'ping':
      return undefined
    case 'status':
      return running?.status()
    case 'sample':
      return running?.sample()
    case 'actor':
      return running?.describeActor(task.convoId)
    case 'passivate':
      return running?.passivate(task.convoId)
    case 'stop':
      await running?.stop(task.deadlineMs)
      running = undefined
  }
}
