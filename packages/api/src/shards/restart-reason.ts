/** Why a shard was started again: its thread died, fell silent, did not come up, or was ended on purpose. */
export const RESTART_REASONS = ['crashed', 'hung', 'start_failed', 'terminated'] as const

export type RestartReason = (typeof RESTART_REASONS)[number]
