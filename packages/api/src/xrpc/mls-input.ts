import { hex, sha256Hex } from '@catbird/shared/bytes'
import type { CommitInput, WelcomeInput } from '@catbird/shared/commands'
import { RefusalError } from '@catbird/shared/errors'
import { readApplicationMessage } from '@catbird/shared/mls/application-message'
import { readMessageHeader } from '@catbird/shared/mls/message-header'
import { readWelcome } from '@catbird/shared/mls/welcome'
import type { Config } from '../config.ts'

type Validation = Config['mls']['validation']

/**
 * Reads a commit's header: it must be a commit of this group by a member. The epoch that it ends is its own; the
 * input's `epoch` may only repeat it. With validation off the bytes are opaque and the input's `epoch` counts.
 */
export function readCommit(
  validation: Validation,
  input: { convoId: string; commit?: Uint8Array; epoch?: number },
): CommitInput | undefined {
  const { convoId, commit: bytes, epoch } = input
  if (!bytes) return undefined
  const sha256 = sha256Hex(bytes)
  if (validation === 'off') return { bytes, sha256, epoch }
  const header = readMessageHeader(bytes)
  if (header?.contentType !== 'commit') {
    throw new RefusalError('InvalidCommit', 'commit is not an MLSMessage with a commit')
  }
  if (header.wireFormat === 'public' && header.senderType !== 'member') {
    throw new RefusalError('InvalidCommit', 'commits come from members')
  }
  if (hex(header.groupId) !== convoId) {
    throw new RefusalError('InvalidCommit', 'the commit is for another group')
  }
  if (epoch !== undefined && epoch !== header.epoch) {
    throw new RefusalError('InvalidCommit', 'epoch differs from the one in the commit', {
      epoch,
      commitEpoch: header.epoch,
    })
  }
  return { bytes, sha256, epoch: header.epoch }
}

/** Reads a Welcome for the references of the key packages that it is for. */
export function readWelcomeInput(
  validation: Validation,
  bytes: Uint8Array | undefined,
): WelcomeInput | undefined {
  if (!bytes) return undefined
  if (validation === 'off') return { bytes }
  const welcome = readWelcome(bytes)
  if (!welcome) throw new RefusalError('InvalidWelcome', 'welcomeMessage is not an MLS Welcome')
  return { bytes, newMembers: welcome.newMembers.map(hex) }
}

/** An application message must be a PrivateMessage of this group and of the epoch that the input says. */
export function checkApplicationMessage(
  validation: Validation,
  input: { convoId: string; ciphertext: Uint8Array; epoch: number },
): void {
  if (validation === 'off') return
  const header = readApplicationMessage(input.ciphertext)
  if (header?.wireFormat !== 'private' || header.contentType !== 'application') {
    throw new RefusalError('InvalidMessage', 'ciphertext is not an MLS application message')
  }
  if (hex(header.groupId) !== input.convoId) {
    throw new RefusalError('InvalidMessage', 'the message is for another group')
  }
  if (header.epoch !== input.epoch) {
    throw new RefusalError('InvalidMessage', 'epoch differs from the one in the message', {
      epoch: input.epoch,
      messageEpoch: header.epoch,
    })
  }
}
