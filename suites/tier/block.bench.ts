import assert from 'node:assert/strict';
import type { Block } from '../../emulator/ir/block.ts';
import { riscv64 } from '../../emulator/isa/riscv/index.ts';
import { GUEST } from '../../emulator/layout/memory-map.ts';
import { ExitReason } from '../../emulator/layout/state.ts';
import { compileBlock, instantiateBlock, type CompiledBlock } from '../../emulator/tier/block.ts';
import { defineBench } from '../harness/define-bench.ts';
import { instructionsIn, straightBlock } from '../isa/program-text.ts';

const inputs = ['../isa/program-text.ts', '../guests/riscv64/libc'];
const OPTIONS = { guestSize: 1 << 16 };
/** Milliseconds by block size (REQUIREMENTS A4). */
const TARGETS: Readonly<Record<number, number>> = { 10: 1, 100: 10, 1000: 100 };
const COMMON = { unit: 'µs', kind: 'time', direction: 'lower', engine: 'mitata', tags: ['riscv64'], inputs } as const;

/**
 * Gives the same block at another address each time. V8 keeps modules by their bytes: making one from bytes it has seen takes 3 to 5 µs
 * whatever their size, and would be measured instead of compiling.
 */
class Relocated {
  readonly block: Block;
  readonly #last: number;
  #made = 0;

  constructor(block: Block) {
    this.block = block;
    this.#last = block.ops.findLastIndex(({ name }) => name === 'insn');
  }

  next(): Block {
    this.#made++;
    const last = this.block.ops[this.#last]!;
    // From 1 GiB up, so that its encoding keeps its length.
    const pc = BigInt(2 ** 30 + 4 * this.#made);
    return { ...this.block, ops: this.block.ops.with(this.#last, { ...last, pc }) };
  }
}

/** A module followed by a custom section that differs from one use to the next, for the same reason. */
class Marked {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #mark: DataView;
  #made = 0;

  constructor(module: Uint8Array) {
    const section = [0, 6, 1, 0x6d, 0, 0, 0, 0];
    this.#bytes = new Uint8Array(module.length + section.length);
    this.#bytes.set(module);
    this.#bytes.set(section, module.length);
    this.#mark = new DataView(this.#bytes.buffer, this.#bytes.length - 4);
  }

  next(): Uint8Array<ArrayBuffer> {
    this.#mark.setUint32(0, this.#made++);
    return this.#bytes;
  }
}

for (const [size, target] of Object.entries(TARGETS)) {
  const instructions = Number(size);

  defineBench<Relocated>({
    ...COMMON,
    id: `tier/block/compile-${size}`,
    title: `lower a block of ${size} instructions, encode it, have V8 make a module`,
    target: { value: target * 1000, from: 'REQUIREMENTS A4' },
    setup: () => new Relocated(straightBlock(instructions)),
    work: (blocks) => compileBlock(riscv64, blocks.next(), OPTIONS),
    check: ({ block }, compiled) => {
      assert.equal(instructionsIn(block), instructions);
      assert(WebAssembly.validate((compiled as CompiledBlock).bytes));
    },
    counters: ({ block }) => ({
      'ir-ops': block.ops.length,
      'module-bytes': compileBlock(riscv64, block, OPTIONS).bytes.length,
    }),
  });

  defineBench<Marked>({
    ...COMMON,
    id: `tier/block/engine-${size}`,
    title: `V8's part of it: new WebAssembly.Module of ${size} instructions`,
    setup: () => new Marked(compileBlock(riscv64, straightBlock(instructions), OPTIONS).bytes),
    work: (modules) => new WebAssembly.Module(modules.next()),
    check: (_, module) =>
      assert.deepEqual(WebAssembly.Module.exports(module as WebAssembly.Module), [{ name: 'run', kind: 'function' }]),
  });

  defineBench<{ modules: Marked; memory: WebAssembly.Memory }>({
    ...COMMON,
    id: `tier/block/first-call-${size}`,
    title: `module, instance and first call of ${size} instructions, when V8 compiles`,
    setup: () => ({
      modules: new Marked(compileBlock(riscv64, straightBlock(instructions), OPTIONS).bytes),
      memory: new WebAssembly.Memory({ initial: (GUEST + OPTIONS.guestSize) / 65536 }),
    }),
    // No guest page may be accessed, so the block ends at its first load or store; V8 has compiled all of it by then.
    work: ({ modules, memory }) => {
      const bytes = modules.next();
      const compiled = { bytes, module: new WebAssembly.Module(bytes), floatOps: [] };
      return instantiateBlock(compiled, { memory, helper: () => 0, float: () => {}, codeWritten: () => {} })();
    },
    check: (_, reason) => assert.equal(reason, ExitReason.fault),
  });
}
