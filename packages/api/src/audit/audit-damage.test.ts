import { expect, it } from 'vitest'
import { brokenRules, statements, useHealthyDatabase } from './damage.fixture.ts'
import { EXPIRED, TRACKED, UNTRACKED } from './history.fixture.ts'
import { RULES, type Rule } from './report.ts'

const auditAfter = useHealthyDatabase()

const ROW = `where convo_id = '${TRACKED}' and n =`
const HEAD = `where convo_id = '${TRACKED}'`

/** What is planted; the rule that finds it, and those whose promises it breaks too; how it is planted. */
const DAMAGES: [string, Rule[], ...string[]][] = [
  ['a young message deleted', ['seq_gap'], `delete from log ${ROW} 6`],
  ['the last message deleted', ['seq_gap'], `delete from log ${ROW} 14`],
  ['a commit deleted', ['seq_gap', 'epoch_gap', 'record_unsound'], `delete from log ${ROW} 9`],
  [
    'a message deleted ten days early',
    ['seq_gap'],
    `delete from log where convo_id = '${EXPIRED}' and seq = 8`,
  ],
  [
    'a seq given twice',
    ['seq_gap', 'interval_unsound'],
    'drop index log_seq',
    `update log set seq = 2 ${ROW} 7`,
  ],
  ['a member that left, deleted', ['n_gap', 'interval_unsound'], `delete from log ${ROW} 12`],
  [
    'the creation deleted',
    ['n_gap', 'interval_unsound', 'welcome_without_commit'],
    `delete from log ${ROW} 1`,
  ],
  ['a version without its row', ['n_gap'], `update conversations set version = version + 1 ${HEAD}`],
  ['an old version in the head', ['head_mismatch'], `update conversations set version = version - 1 ${HEAD}`],
  ['another seq in the head', ['head_mismatch'], `update conversations set seq = seq + 1 ${HEAD}`],
  ['another epoch in the head', ['head_mismatch'], `update conversations set epoch = 2 ${HEAD}`],
  [
    'another tracking in the head',
    ['head_mismatch'],
    `update conversations set tracking = 'untracked' ${HEAD}`,
  ],
  ['another time in the head', ['head_mismatch'], `update conversations set last_at = now() ${HEAD}`],
  [
    'another message time in the head',
    ['head_mismatch'],
    `update conversations set last_message_at = created_at ${HEAD}`,
  ],
  [
    'another commit in the head',
    ['head_mismatch'],
    `update conversations set last_commit_seq = 4, last_commit_epoch = 2, last_commit_sha256 = 'x' ${HEAD}`,
  ],
  ['a position behind the log', ['head_mismatch'], `update conversations set pos = 0 ${HEAD}`],
  [
    'a last message time that only an expired tail can have',
    ['head_mismatch'],
    `update conversations set last_message_at = null where convo_id = '${EXPIRED}00'`,
  ],
  ['a conversation lost', ['head_missing'], `delete from conversations where convo_id = '${UNTRACKED}'`],
  ['an epoch left out', ['epoch_gap', 'head_mismatch', 'chain_broken'], `update log set epoch = 7 ${ROW} 10`],
  [
    'an untracked epoch left out',
    ['epoch_gap', 'chain_broken'],
    `update log set epoch = 9 where convo_id = '${UNTRACKED}' and n = 4`,
  ],
  [
    'a commit without bytes in a tracked conversation',
    ['epoch_gap', 'chain_broken'],
    `update log set bytes = null ${ROW} 9`,
  ],
  [
    'two commits for one epoch',
    ['epoch_duplicate', 'epoch_gap', 'chain_broken', 'record_unsound'],
    'drop index log_commit_epoch',
    `update log set epoch = 1 ${ROW} 9`,
  ],
  ['a message of a future epoch', ['epoch_ahead', 'chain_broken'], `update log set epoch = 4 ${ROW} 13`],
  ['a leave of a future epoch', ['epoch_ahead'], `update log set epoch = 4 ${ROW} 12`],
  ['bytes changed', ['chain_broken'], `update log set bytes = 'x' ${ROW} 7`],
  ['a sender changed', ['chain_broken'], `update log set sender = 'did:plc:mallory' ${ROW} 7`],
  [
    'another logHash in the head',
    ['chain_broken'],
    `update conversations set log_hash = sha256('x') ${HEAD}`,
  ],
  [
    'a row older than the one before',
    ['time_backwards'],
    `update log set created_at = created_at - interval '1 day' ${ROW} 7`,
  ],
  ['a position below the one before', ['position_backwards'], `update log set pos = 0 ${ROW} 7`],
  [
    'a commit that is not that of its Welcome',
    ['welcome_without_commit'],
    `update log set entry_id = gen_random_uuid() ${ROW} 4`,
  ],
  [
    'a Welcome row of another command',
    ['welcome_without_commit'],
    `update log set entry_id = gen_random_uuid() ${ROW} 5`,
  ],
  [
    'a Welcome without bytes',
    ['welcome_incomplete'],
    `delete from welcome_bytes b using log l where l.entry_id = b.entry_id and l.convo_id = '${TRACKED}' and l.n = 5`,
  ],
  ['a Welcome lost', ['welcome_incomplete'], `delete from welcomes ${ROW} 5`],
  ['a Welcome withdrawn by nothing', ['welcome_incomplete'], `update welcomes set withdrawn_n = 13 ${ROW} 5`],
  [
    'a member lost',
    ['interval_unsound'],
    `delete from members ${HEAD} and did = 'did:plc:bob' and joined_n = 10`,
  ],
  [
    'a stranger among the members',
    ['interval_unsound'],
    `insert into members values ('${TRACKED}', 'did:plc:eve', 4, 1, 1, null, null, now(), null)`,
  ],
  [
    'an interval that begins too early',
    ['interval_unsound'],
    `update members set from_seq = 1 ${HEAD} and joined_n = 10`,
  ],
  [
    'an interval that ends too late',
    ['interval_unsound'],
    `update members set to_seq = 4 ${HEAD} and left_n = 8`,
  ],
  [
    'an interval that ends before it begins',
    ['interval_unsound'],
    `update members set to_seq = -1 ${HEAD} and left_n = 8`,
  ],
  [
    'two open intervals of a member',
    ['interval_unsound'],
    'drop index members_active',
    `update members set left_n = null, to_seq = null, left_at = null ${HEAD} and left_n = 8`,
  ],
  ['a creator that left', ['interval_unsound'], `update conversations set creator = 'did:plc:alice' ${HEAD}`],
  [
    'a creator that is not the longest-standing',
    ['interval_unsound'],
    `update conversations set creator = 'did:plc:bob' ${HEAD}`,
  ],
  [
    'a key package used up by no conversation',
    ['key_package_unsound'],
    `update key_packages set consumed_by = 'ff' where hash = 'hash-bob'`,
  ],
  [
    'a key package of a Welcome that is free again',
    ['key_package_unsound'],
    `update key_packages set consumed_by = null, consumed_at = null where hash = 'hash-carol'`,
  ],
  [
    'a last-resort key package used up',
    ['key_package_unsound'],
    `update key_packages set consumed_by = '${TRACKED}', consumed_at = now() where last_resort`,
  ],
  [
    'a record with another seq',
    ['record_unsound'],
    `update idempotency set answer = (answer::jsonb || '{"seq": 99}')::json where key = 'send'`,
  ],
  [
    'a record with another logHash',
    ['record_unsound'],
    `update idempotency set answer = (answer::jsonb || '{"logHash": "00"}')::json where key = 'add'`,
  ],
  [
    'a record with another epoch',
    ['record_unsound'],
    `update idempotency set answer = (answer::jsonb || '{"newEpoch": 9}')::json where key = 'remove'`,
  ],
  [
    'a record that makes no sense',
    ['record_unsound'],
    `update idempotency set answer = '{"seq": "x"}' where key = 'send'`,
  ],
  [
    'a record of a conversation that is not there',
    ['record_unsound'],
    `update idempotency set answer = '{"id": "ff"}' where key = 'create'`,
  ],
  ['a read position ahead', ['cursor_ahead'], `update cursors set seq = 8 ${HEAD} and did = 'did:plc:bob'`],
]

it('is tried with damage for each rule', () => {
  expect(new Set(DAMAGES.map(([, [rule]]) => rule))).toEqual(new Set(RULES))
})

it.each(DAMAGES)('the audit finds %s', async (_, rules, ...damage) => {
  const report = await auditAfter(statements(...damage))
  expect(brokenRules(report), JSON.stringify(report.first, null, 1)).toEqual(rules.toSorted())
  expect(JSON.stringify(report)).not.toContain('did:')
})
