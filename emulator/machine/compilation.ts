import type { Isa } from '../isa/instruction.ts';
import type { TierPolicy } from '../tier/policy.ts';
import { BackgroundCompiler } from './background-compiler.ts';

/** Whether guests wait for translations, or go on in the interpreter while a thread makes them. */
export const COMPILATIONS = ['synchronous', 'background'] as const;
export type Compilation = (typeof COMPILATIONS)[number];

/** Guests that a thread is to compile for. */
export interface CompiledGuests {
  readonly isa: Isa;
  /** Bytes of guest memory. */
  readonly guestSize: number;
  /** Guest memory is behind address translation. */
  readonly translated: boolean;
  /** What is translated by; undefined when nothing is. */
  readonly policy: TierPolicy | undefined;
  readonly disabledPasses?: ReadonlySet<string>;
}

/** Who compiles beside the guests, to be closed in the end; undefined when they wait, as those do that translate whatever they reach. */
export function backgroundCompiler(
  compilation: Compilation | undefined,
  { isa, guestSize, translated, policy, disabledPasses = new Set() }: CompiledGuests,
): BackgroundCompiler | undefined {
  if (compilation !== 'background' || policy === undefined || policy.eager) return undefined;
  const { limits, passes, guardGain, backgroundAfter, backgroundWork } = policy;
  return new BackgroundCompiler({
    isa: isa.name,
    guestSize,
    translated,
    policy: { limits, passes, guardGain, backgroundAfter, backgroundWork },
    disabledPasses: [...disabledPasses],
  });
}
