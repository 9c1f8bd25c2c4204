import type { Block } from '../ir/block.ts';
import type { Isa } from '../isa/instruction.ts';
import type { FaultKind } from '../layout/state.ts';

/** Guest code ready to run: memory image, permissions, registers and pc are in place as layout/ says. */
export interface Program {
  readonly isa: Isa;
  /** Reused from one program to the next: whatever an executor keeps of decoded code is stale. */
  readonly memory: WebAssembly.Memory;
  /** Bytes of guest memory. */
  readonly guestSize: number;
  /** The code under test; control leaving it is the end. */
  readonly start: bigint;
  readonly end: bigint;
  /** Most instructions to run. */
  readonly limit: number;
}

/** An IR block instead of guest code. */
export interface BlockProgram {
  readonly block: Block;
  readonly memory: WebAssembly.Memory;
  readonly guestSize: number;
}

/**
 * How a program stopped; registers and flags are left in the state. `end`: control left the code (or the block). `limit`: the limit was
 * reached. `illegal`: the bytes at pc are no instruction. `retired`: instructions completed.
 */
export type Stop = { readonly pc: bigint; readonly retired: number } & (
  | { readonly kind: 'end' | 'limit' | 'illegal' }
  | { readonly kind: 'trap'; readonly cause: number; readonly value: bigint }
  | { readonly kind: 'fault'; readonly fault: FaultKind; readonly address: bigint }
);

/** One way of running guest code. All executors that a corpus names must give the same results. */
export interface Executor {
  readonly name: string;
  /** Undefined when it cannot run guest code. */
  readonly run: ((program: Program) => Stop) | undefined;
  /** Undefined when it cannot run a bare IR block. */
  readonly runBlock: ((program: BlockProgram) => Stop) | undefined;
}
