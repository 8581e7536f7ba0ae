import { readKeyPackages } from './read-key-packages.ts'
import type { Findings } from './report.ts'
import type { Snapshot } from './snapshot.ts'
import type { Steps } from './steps.ts'

/** Audits which key packages are used up. That none is used up twice is certain: there is one place to say by whom. */
export async function* auditKeyPackages(snapshot: Snapshot, findings: Findings): Steps {
  let after = { did: '', hash: '' }
  for (;;) {
    const packages = await readKeyPackages(snapshot.sql, after)
    for (const { hash, consumedBy, isUnsound } of packages) {
      if (isUnsound) findings.add('key_package_unsound', consumedBy, `key package ${hash}`)
    }
    const last = packages.at(-1)
    if (!last) return
    after = last
    yield
  }
}
