/** Why the program, and with it everything it started, came to an end. */
export type Outcome =
  | { readonly kind: 'exit'; readonly code: number }
  | { readonly kind: 'signal'; readonly signal: number; readonly name: string; readonly fault?: GuestFault }
  | { readonly kind: 'limit'; readonly limit: 'instructions' | 'timeout' }
  | { readonly kind: 'deadlock' };

/** What a process did that killed it: where, and for a memory access which address. */
export interface GuestFault {
  readonly pc: bigint;
  readonly kind: 'trap' | 'load' | 'store' | 'fetch' | 'misaligned load' | 'misaligned store';
  readonly cause: number;
  readonly address: bigint;
}

export interface KernelCounters {
  instructions: number;
  systemCalls: Map<string, number>;
  /** Calls answered with ENOSYS, by name or number. */
  unknown: Map<string, number>;
  forks: number;
  programs: number;
  signals: number;
}
