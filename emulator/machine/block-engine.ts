import { assert } from '../check/assert.ts';
import { Builder } from '../ir/builder.ts';
import type { Block } from '../ir/block.ts';
import { opRow } from '../ir/op.ts';
import type { Field, Slot, Type } from '../ir/type.ts';
import type { HelperContext, Isa, SystemHooks } from '../isa/instruction.ts';
import { PAGE_SIZE, STATE, STATE_SIZE } from '../layout/memory-map.ts';
import { ExitReason, StateOffset } from '../layout/state.ts';
import type { Mmu } from '../memory/mmu.ts';
import { Access } from '../memory/regime.ts';
import { TRANSLATION_DEVICE } from '../memory/translation.ts';
import { exactFloat } from '../tier/host-imports.ts';
import { Lowering } from '../tier/lower.ts';
import { loadRegister, storeRegister } from '../tier/register-access.ts';
import { Runtime } from '../tier/runtime.ts';
import type { Site } from '../tier/site.ts';
import { importTlbSlowPaths, tlbImports, TlbMemoryPath } from '../tier/tlb-path.ts';
import type { FunctionBuilder } from '../wasm/function.ts';
import { ModuleBuilder } from '../wasm/module.ts';
import { ValType } from '../wasm/type.ts';

export interface BlockEngineOptions {
  readonly hooks: SystemHooks;
  /** Ticks of the time base; one for each retired instruction unless given. */
  readonly time?: () => bigint;
}

/** Instructions of the longest block. */
const LONGEST = 64;
/** Blocks kept: at some 14 KB of host memory each, half a gigabyte. When there are more, all go. */
const MAX_BLOCKS = 32_768;
/** What a block returns: the reason to leave, and the instructions retired above it. */
const RETIRED_SHIFT = 8;
const REASON_MASK = 0xff;
/** RAM addresses of the runtime's flat slow paths, which a block behind the TLB never calls. */
const NO_FLAT_MEMORY = 65536;

interface Translated {
  readonly low: number;
  readonly high: number;
  readonly instructions: number;
  /** Linear address of the second page, for an instruction across two; else 0. */
  readonly second: number;
  readonly run: () => number;
}

/**
 * A vCPU behind an MMU that translates one basic block at a time to a WebAssembly module of its own and is led from block to block by
 * JavaScript. Blocks are found by the linear address of their first byte, and so outlive changes of address space. Traps and interrupts
 * are the caller's to deliver.
 */
export class BlockEngine {
  readonly state: DataView<ArrayBuffer>;
  readonly counters = { instructions: 0, blocks: 0, translated: 0, pagesDropped: 0 };
  readonly #isa: Isa;
  readonly #mmu: Mmu;
  readonly #linear: Uint8Array<ArrayBuffer>;
  readonly #imports: WebAssembly.ModuleImports;
  /** By the linear address of the first byte: blocks, and single instructions for the end of a budget. */
  readonly #blocks = new Map<number, Translated>();
  readonly #steps = new Map<number, Translated>();
  /** Starts of the blocks with a byte in each page. */
  readonly #pages = new Map<number, Set<number>>();
  #stop = false;
  /** Instructions of the block under way before its last: helpers are called in the last. */
  #before = 0;

  constructor(isa: Isa, memory: WebAssembly.Memory, mmu: Mmu, options: BlockEngineOptions) {
    const buffer = memory.buffer as ArrayBuffer;
    this.#isa = isa;
    this.#mmu = mmu;
    this.#linear = new Uint8Array(buffer);
    this.state = new DataView(buffer, STATE, STATE_SIZE);
    this.state.setBigInt64(StateOffset.reservation, -1n, true);
    const retired = () => BigInt(this.counters.instructions + this.#before);
    const context: HelperContext = {
      state: this.state,
      retired,
      time: options.time ?? retired,
      // Stores to code are seen as they are made.
      flushCode: () => {},
      system: options.hooks,
    };
    this.#imports = {
      memory,
      helper: (index: number) => this.#help(context, index),
      codeWritten: () => assert(false, 'blocks behind the TLB do not store to flat memory'),
      ...tlbImports(memory, mmu),
    };
    mmu.onCodeWrite = (linear) => this.#dropPage(linear - (linear % PAGE_SIZE));
  }

  get pc(): bigint {
    return this.state.getBigUint64(StateOffset.pc, true);
  }

  set pc(gva: bigint) {
    this.state.setBigUint64(StateOffset.pc, gva, true);
  }

  /** As for `Vcpu`: the trap's cause, or the FaultKind. */
  get cause(): number {
    return this.state.getInt32(StateOffset.cause, true);
  }

  get value(): bigint {
    return this.state.getBigUint64(StateOffset.value, true);
  }

  /** As `Vcpu.run`: budgets are exact. `ExitReason.helper` after an instruction that has to be looked at (see HelperOutcome). */
  run(budget: number): ExitReason {
    const { counters, state } = this;
    const end = counters.instructions + budget;
    while (counters.instructions < end) {
      const low = state.getInt32(StateOffset.pc, true);
      const high = state.getInt32(StateOffset.pc + 4, true);
      const linear = this.#mmu.translate(low, high, Access.execute, 2);
      if (linear >= 0 && linear <= TRANSLATION_DEVICE) return this.#fetchFault();
      const block = this.#blockAt(linear >>> 0, low, high, end - counters.instructions);
      if (typeof block === 'number') return block;
      this.#before = block.instructions - 1;
      counters.blocks++;
      const left = block.run();
      counters.instructions += left >>> RETIRED_SHIFT;
      const reason = (left & REASON_MASK) as ExitReason;
      if (reason !== ExitReason.budget) return reason;
      if (this.#stop) {
        this.#stop = false;
        return ExitReason.helper;
      }
    }
    return ExitReason.budget;
  }

  checkInvariants(): void {
    for (const [page, starts] of this.#pages) {
      assert(page % PAGE_SIZE === 0 && starts.size > 0, 'only pages with blocks are remembered');
      for (const start of starts) {
        assert(this.#blocks.has(start) || this.#steps.has(start), 'what a page is remembered for exists');
      }
    }
    for (const start of [...this.#blocks.keys(), ...this.#steps.keys()]) {
      assert(this.#pages.get(start - (start % PAGE_SIZE))?.has(start), 'every block is known to its page');
    }
  }

  /** The block at an address whose first byte is at `linear`, of at most `budget` instructions; or why there is none. */
  #blockAt(linear: number, low: number, high: number, budget: number): Translated | ExitReason {
    let known = this.#blocks.get(linear);
    if (known !== undefined && known.instructions > budget) known = this.#steps.get(linear);
    else if (known === undefined && budget < LONGEST) known = this.#steps.get(linear);
    if (known !== undefined && known.low === low && known.high === high && this.#secondPageHolds(known)) return known;
    return this.#translate(linear, low, high, budget < LONGEST ? 1 : LONGEST);
  }

  #secondPageHolds({ second, low, high }: Translated): boolean {
    return second === 0 || (this.#fetchHalf(low, high) & -PAGE_SIZE) === (second | 0);
  }

  /** Linear address (int32) of the two bytes after those at an address; below PAGE_SIZE when they cannot be fetched. */
  #fetchHalf(low: number, high: number): number {
    const nextLow = (low + 2) | 0;
    return this.#mmu.translate(nextLow, nextLow === 0 ? (high + 1) | 0 : high, Access.execute, 2);
  }

  #translate(linear: number, low: number, high: number, longest: number): Translated | ExitReason {
    const bytes = this.#linear;
    const end = linear - (linear % PAGE_SIZE) + PAGE_SIZE;
    const builder = new Builder(this.#isa.name);
    const { ops } = builder.block;
    let pc = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
    let second = 0;
    let instructions = 0;
    for (let at = linear; instructions < longest && at < end;) {
      let word = bytes.subarray(at, at + 4);
      if (at + 2 === end && (bytes[at]! & 3) === 3) {
        // It runs on into a page that may lie anywhere, or nowhere: a block of its own.
        if (instructions > 0) break;
        const half = this.#fetchHalf(low, high);
        if (half >= 0 && half <= TRANSLATION_DEVICE) return this.#fetchFault();
        second = (half & -PAGE_SIZE) >>> 0;
        word = Uint8Array.of(bytes[at]!, bytes[at + 1]!, bytes[half >>> 0]!, bytes[(half >>> 0) + 1]!);
      }
      const decoded = this.#isa.decode(word, 0);
      if (decoded === undefined) {
        if (instructions > 0) break;
        return this.#illegal(word);
      }
      const { row, operands } = this.#isa.canonical(decoded);
      const begin = ops.length;
      builder.beginInstruction(pc, decoded.length);
      row.lift(builder, operands);
      instructions++;
      pc += BigInt(decoded.length);
      at += decoded.length;
      // A helper may change how instructions are fetched, and may ask to come back.
      if (opRow(ops.at(-1)!.name).terminator === true || ops.slice(begin).some(({ name }) => name === 'call')) break;
    }
    const run = this.#compile(builder.block);
    const block: Translated = { low, high, instructions, second, run };
    this.#keep(linear, block, longest === 1);
    return block;
  }

  #compile(block: Block): () => number {
    const module = new ModuleBuilder();
    const runtime = new Runtime(module, this.#isa, { guestSize: NO_FLAT_MEMORY });
    const path = new TlbMemoryPath(importTlbSlowPaths(module));
    const fn = module.function('run', [], [ValType.i32]);
    new Lowering(block, new ReturningSite(fn), path, runtime).run();
    module.exportFunction('run', fn);
    this.counters.translated++;
    const float = exactFloat(this.state, runtime.floatOps);
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.encode()), {
      env: { ...this.#imports, float },
    });
    return exports['run'] as () => number;
  }

  #keep(linear: number, block: Translated, step: boolean): void {
    if (this.#blocks.size + this.#steps.size >= MAX_BLOCKS) for (const page of this.#pages.keys()) this.#dropPage(page);
    (step ? this.#steps : this.#blocks).set(linear, block);
    for (const page of [linear - (linear % PAGE_SIZE), block.second]) {
      if (page === 0) continue;
      const starts = this.#pages.get(page);
      if (starts !== undefined) {
        starts.add(linear);
        continue;
      }
      this.#pages.set(page, new Set([linear]));
      this.#mmu.protectCode(page);
    }
  }

  /** Forgets the blocks with a byte in a page. */
  #dropPage(page: number): void {
    const starts = this.#pages.get(page);
    if (starts === undefined) return;
    this.counters.pagesDropped++;
    this.#mmu.releaseCode(page);
    this.#pages.delete(page);
    for (const start of starts) {
      const second = this.#blocks.get(start)?.second ?? this.#steps.get(start)?.second ?? 0;
      this.#blocks.delete(start);
      this.#steps.delete(start);
      for (const other of [start - (start % PAGE_SIZE), second]) {
        const others = this.#pages.get(other);
        others?.delete(start);
        if (others?.size === 0) {
          this.#pages.delete(other);
          this.#mmu.releaseCode(other);
        }
      }
    }
  }

  #help(context: HelperContext, index: number): number {
    const { state } = this;
    const helper = Object.values(this.#isa.helpers)[index];
    assert(helper !== undefined, 'code asks for a helper of its ISA');
    const args = Array.from({ length: helper.parameters }, (_, i) =>
      state.getBigUint64(StateOffset.arguments + 8 * i, true),
    );
    const outcome = helper.call(context, args);
    if ('trap' in outcome) {
      this.#leave(ExitReason.trap, outcome.trap, outcome.value);
      return 1;
    }
    if (outcome.stop === true) this.#stop = true;
    state.setBigUint64(StateOffset.arguments, BigInt.asUintN(64, outcome.result), true);
    return 0;
  }

  #illegal(word: Uint8Array): ExitReason {
    const bits = word.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
    return this.#leave(ExitReason.trap, this.#isa.illegalInstruction, (bits & 3n) === 3n ? bits : bits & 0xffffn);
  }

  #fetchFault(): ExitReason {
    const { faultKind, faultLow, faultHigh } = this.#mmu;
    return this.#leave(ExitReason.fault, faultKind, (BigInt(faultHigh >>> 0) << 32n) | BigInt(faultLow >>> 0));
  }

  #leave(reason: ExitReason, cause: number, value: bigint): ExitReason {
    this.state.setInt32(StateOffset.cause, cause, true);
    this.state.setBigUint64(StateOffset.value, BigInt.asUintN(64, value), true);
    return reason;
  }
}

/** Straight-line code with its operands known; registers are in the state. */
class ReturningSite implements Site {
  readonly fn: FunctionBuilder;
  readonly inline = false;
  readonly inexactAccrued = false;
  #pc = 0n;
  #length = 0n;
  #begun = 0;

  constructor(fn: FunctionBuilder) {
    this.fn = fn;
  }

  beginInstruction(pc: bigint, length: number): void {
    this.#pc = pc;
    this.#length = BigInt(length);
    this.#begun++;
  }

  bailIf(): void {
    assert(false, 'a block has no twin to bail to');
  }

  field(): void {
    assert(false, 'a translated block knows its operands');
  }

  readRegister(slot: Slot, type: Type): void {
    this.fn.i32Const(0);
    loadRegister(this.fn, type, STATE + offsetOf(slot));
  }

  writeRegister(slot: Slot, type: Type, push: () => void): void {
    this.fn.i32Const(0);
    push();
    storeRegister(this.fn, type, STATE + offsetOf(slot));
  }

  pc(): void {
    this.fn.i64Const(this.#pc);
  }

  nextPc(): void {
    this.fn.i64Const(BigInt.asUintN(64, this.#pc + this.#length));
  }

  leave(reason: ExitReason): void {
    this.#exit(() => this.pc(), this.#begun - 1, reason);
  }

  jump(): void {
    const { fn } = this;
    const target = fn.takeLocal(ValType.i64);
    fn.localSet(target);
    this.#exit(() => fn.localGet(target), this.#begun, ExitReason.budget);
    fn.freeLocal(target);
  }

  jumpRelative(displacement: number | Field): void {
    assert(typeof displacement === 'number', 'a translated block knows its targets');
    const target = BigInt.asUintN(64, this.#pc + BigInt(displacement));
    this.#exit(() => this.fn.i64Const(target), this.#begun, ExitReason.budget);
  }

  branch(displacement: number | Field): void {
    const taken = this.fn.if();
    this.jumpRelative(displacement);
    this.fn.end(taken);
    this.fallThrough();
  }

  fallThrough(): void {
    this.#exit(() => this.nextPc(), this.#begun, ExitReason.budget);
  }

  #exit(pushPc: () => void, retired: number, reason: ExitReason): void {
    const { fn } = this;
    fn.i32Const(0);
    pushPc();
    fn.store('i64.store', { offset: STATE + StateOffset.pc });
    fn.i32Const((retired << RETIRED_SHIFT) | reason);
    fn.return();
  }
}

function offsetOf({ file, index }: Slot): number {
  assert(typeof index === 'number', 'a translated block knows its registers');
  return file.offset + file.stride * index;
}
