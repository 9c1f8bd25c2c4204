// Runs single instructions on a real or emulated processor, through a small C program, and on the executors of IR blocks.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Block } from '../ir/block.ts';
import { GUEST, PAGE_SIZE, PERMISSION, Permission, STATE, STATE_SIZE } from '../layout/memory-map.ts';
import { evaluateExecutor } from './evaluate-executor.ts';
import type { Stop } from './executor.ts';
import { wasmExecutor } from './wasm-executor.ts';

/** All the memory that an instruction may touch, and where it stands itself: the addresses in the C programs. */
export const WINDOW = 0x1_0800;
export const WINDOW_SIZE = 256;
export const CODE = 0x2_0000;

const GUEST_SIZE = 0x2_0000;

/** Compiles `source` and feeds it the records; what it wrote, or why it cannot be run here. */
export function askOracle(
  source: string,
  machine: { readonly compilers: readonly string[]; readonly emulator: string | undefined },
  records: Uint8Array,
): Uint8Array | { readonly missing: string } {
  const runs = (command: string): boolean => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;
  const compiler = machine.compilers.find(runs);
  if (compiler === undefined) return { missing: `none of ${machine.compilers.join(', ')} is installed` };
  const { emulator } = machine;
  if (emulator !== undefined && !runs(emulator)) return { missing: `${emulator} is not installed` };
  const folder = mkdtempSync(join(tmpdir(), 'instruction-oracle-'));
  try {
    const program = join(folder, 'oracle');
    const options = ['-O1', '-Wall', '-Werror', '-static', '-no-pie', '-o', program, source];
    const compiled = spawnSync(compiler, options, { encoding: 'utf8' });
    assert.equal(compiled.status, 0, compiled.stderr);
    const [command, ...rest] = emulator === undefined ? [program] : [emulator, program];
    const run = spawnSync(command!, rest, { input: records, maxBuffer: 2 ** 30 });
    assert.equal(run.status, 0, `${run.signal ?? ''} ${run.stderr.toString()}`);
    return run.stdout;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Runs blocks on the evaluator and as WebAssembly, each from a state and window that the caller sets. */
export class BlockMachine {
  readonly state: DataView;
  readonly window: Uint8Array;
  readonly #memory: WebAssembly.Memory;

  constructor() {
    const pages = (GUEST + GUEST_SIZE) / 0x1_0000;
    this.#memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const { buffer } = this.#memory;
    this.state = new DataView(buffer, STATE, STATE_SIZE);
    this.window = new Uint8Array(buffer, GUEST + WINDOW, WINDOW_SIZE);
    new Uint8Array(buffer, PERMISSION)[Math.floor(WINDOW / PAGE_SIZE)] = Permission.read | Permission.write;
  }

  run(executor: 'evaluate' | 'wasm', block: Block): Stop {
    const { runBlock } = executor === 'wasm' ? wasmExecutor : evaluateExecutor;
    return runBlock!({ block, memory: this.#memory, guestSize: GUEST_SIZE });
  }
}

/** 64 bits at the edges, few bits, small numbers or uniform. */
export function biased(random: () => number): bigint {
  const uniform = (BigInt(random()) << 32n) | BigInt(random());
  switch (random() % 6) {
    case 0:
      return BigInt.asUintN(64, BigInt(random() % 5) - 2n);
    case 1:
      // Around the sign bit of a size.
      return BigInt.asUintN(64, (1n << [7n, 8n, 15n, 16n, 31n, 32n, 63n][random() % 7]!) + BigInt(random() % 3) - 1n);
    case 2:
      return (uniform & ~0xffff_ffffn) | 0x8000_0000n;
    case 3:
      return uniform >> BigInt(random() % 64);
    default:
      return uniform;
  }
}
