import type { Isa } from '../isa/instruction.ts';
import { arm64 } from '../isa/arm64/index.ts';
import { riscv64 } from '../isa/riscv/index.ts';
import { x86_64 } from '../isa/x86/index.ts';
import { evaluateExecutor } from './evaluate-executor.ts';
import type { Executor } from './executor.ts';
import { interpreterExecutor } from './interpreter-executor.ts';
import { wasmExecutor } from './wasm-executor.ts';

/** The ISAs that corpora may name. */
export const ISAS: ReadonlyMap<string, Isa> = new Map([riscv64, arm64, x86_64].map((each) => [each.name, each]));

/** The executors that corpora may name. */
export const EXECUTORS: ReadonlyMap<string, Executor> = new Map(
  [evaluateExecutor, wasmExecutor, interpreterExecutor].map((each) => [each.name, each]),
);
