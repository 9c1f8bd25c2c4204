import { assert, CHECK, CheckLevel } from '../../check/assert.ts';
import type { Isa } from '../../isa/instruction.ts';
import { GUEST, PAGE_SIZE, STATE, STATE_SIZE } from '../../layout/memory-map.ts';
import { ExitReason, FaultKind, StateOffset } from '../../layout/state.ts';
import { exactFloat, helperCaller } from '../host-imports.ts';
import { DecodedPages } from './decoded-pages.ts';
import { Frame } from './frame.ts';
import { ILLEGAL_EXIT, interpreterModule } from './generate.ts';
import { FIRST_CASE } from './record.ts';

export interface InterpreterOptions {
  /** Bytes of guest address space from guest address 0: a multiple of 64 KiB. */
  readonly guestSize: number;
  /** Nanoseconds of guest time; one for each retired instruction unless given. */
  readonly time?: () => bigint;
  /** Told of every change of decoded code: guest bytes [gva, gva + length). */
  readonly codeChanged?: (gva: number, length: number) => void;
  /** Told of every guest page that begins to hold decoded code. */
  readonly codePageAdded?: (page: number) => void;
}

/** Exact counts since the interpreter was made. */
export interface InterpreterCounters {
  /** Instructions retired. */
  instructions: number;
  /** Times that control came back because the next instruction was not decoded or its page not in the jump cache. */
  misses: number;
  /** Instructions decoded to records. */
  decoded: number;
  /** Calls of ISA helpers. */
  helperCalls: number;
  /** Floating-point operations computed by the exact slow path. */
  floatCalls: number;
  /** Cases whose own function has been called. */
  twins: number;
  /** Stores to pages that hold decoded code. */
  codeWrites: number;
  /** Decoded guest pages dropped. */
  pagesDropped: number;
}

/**
 * Instructions in one entry of the generated code. V8 does not replace a running WebAssembly loop by its optimised code, only the next
 * call; at 100,000 the first, unoptimised entries end after a few milliseconds and a later one still costs 0.02 % of its time.
 */
const SLICE = 100_000;
/** What `Interpreter.run` gives when translated code begins at pc. */
export const ENTERED = 64;

/** Tier 0: runs guest code by generated cases over predecoded records. */
export class Interpreter {
  readonly counters: InterpreterCounters = {
    instructions: 0,
    misses: 0,
    decoded: 0,
    helperCalls: 0,
    floatCalls: 0,
    twins: 0,
    codeWrites: 0,
    pagesDropped: 0,
  };
  readonly #pages: DecodedPages;
  readonly #state: DataView<ArrayBuffer>;
  readonly #frame: DataView<ArrayBuffer>;
  readonly #enter: () => number;
  readonly #illegalInstruction: number;
  readonly #recordShift: number;
  readonly #codeChanged: (gva: number, length: number) => void;
  /** Instructions that the current entry may retire. */
  #slice = 0;

  constructor(isa: Isa, memory: WebAssembly.Memory, options: InterpreterOptions) {
    const { guestSize } = options;
    const buffer = memory.buffer as ArrayBuffer;
    assert(buffer.byteLength >= GUEST + guestSize, 'guest memory lies in the linear memory');
    const { counters } = this;
    const made = interpreterModule(isa, { guestSize });
    const pages = new DecodedPages(
      isa,
      made,
      buffer,
      guestSize,
      counters,
      options.codePageAdded ?? (() => {}),
      // Stores to it are no longer seen.
      (page) => this.#codeChanged(page, PAGE_SIZE),
    );
    const state = new DataView(buffer, STATE, STATE_SIZE);
    const frame = new DataView(buffer);
    const retired = () => BigInt(counters.instructions + this.#slice - frame.getInt32(Frame.budget, true) - 1);
    const callHelper = helperCaller(isa, {
      state,
      retired,
      time: options.time ?? retired,
      // Nothing to do: a store to decoded code takes its records away at once, and whoever writes from outside says so (flushCode below).
      flushCode: () => {},
    });
    const imports = {
      memory,
      helper: (index: number) => {
        counters.helperCalls++;
        return callHelper(index);
      },
      codeWritten: (address: number, bytes: number) => this.codeWritten(address, bytes),
    };
    const prepareTwin = (op: number) => {
      counters.twins++;
      const { module, floatOps } = made.twin(op);
      const computeFloat = exactFloat(state, floatOps);
      const float = (index: number) => {
        counters.floatCalls++;
        computeFloat(index);
      };
      const twin = new WebAssembly.Instance(module, { env: { ...imports, float } });
      twins.set(op - FIRST_CASE, twin.exports['twin']);
    };
    const float = () => assert(false, 'the main function has no slow path of its own');
    const instance = new WebAssembly.Instance(made.module, { env: { ...imports, float, prepareTwin } });
    const twins = instance.exports['twins'] as WebAssembly.Table;
    this.#enter = instance.exports['run'] as () => number;
    this.#pages = pages;
    this.#codeChanged = options.codeChanged ?? (() => {});
    this.#state = state;
    this.#frame = frame;
    this.#illegalInstruction = isa.illegalInstruction;
    this.#recordShift = made.layout.shift;
  }

  /** See Vcpu.run. With `ENTERED` translated code begins at pc. */
  run(budget: number): ExitReason | typeof ENTERED {
    const frame = this.#frame;
    const { counters } = this;
    let left = budget;
    while (left > 0) {
      if (!this.#locate()) return ExitReason.fault;
      const slice = left < SLICE ? left : SLICE;
      this.#slice = slice;
      frame.setInt32(Frame.budget, slice, true);
      const reason = this.#enter();
      const retired = slice - frame.getInt32(Frame.budget, true);
      left -= retired;
      counters.instructions += retired;
      if (CHECK >= CheckLevel.full) this.checkInvariants();
      if (reason === ExitReason.budget) continue;
      if (reason === ExitReason.miss) {
        if (this.#atEntry()) return ENTERED;
        counters.misses++;
        continue;
      }
      return this.conclude(reason);
    }
    return ExitReason.budget;
  }

  /** The main function, for those who enter it from WebAssembly between `beginSlice` and `conclude`. */
  get main(): () => number {
    return this.#enter;
  }

  /** log2 of record bytes per byte of guest code. */
  get recordShift(): number {
    return this.#recordShift;
  }

  /** Control is about to enter generated code, which may retire so many instructions. */
  beginSlice(instructions: number): void {
    this.#slice = instructions;
  }

  /** What it means that the main function came back with `reason`; `miss` means go on at pc. */
  conclude(reason: number): ExitReason {
    if (reason !== ILLEGAL_EXIT) return reason as ExitReason;
    const state = this.#state;
    state.setInt32(StateOffset.cause, this.#illegalInstruction, true);
    state.setBigUint64(StateOffset.value, this.#pages.bitsAt(state.getUint32(StateOffset.pc, true)), true);
    return ExitReason.trap;
  }

  /** As `run`, but runs on where translated code begins. */
  runPastEntries(budget: number): ExitReason {
    const suspended: number[] = [];
    const { counters } = this;
    const end = counters.instructions + budget;
    let reason: ExitReason = ExitReason.budget;
    for (;;) {
      const outcome = this.#atEntry() ? ENTERED : this.run(end - counters.instructions);
      if (outcome !== ENTERED) {
        reason = outcome;
        break;
      }
      const gva = this.#state.getUint32(StateOffset.pc, true);
      suspended.push(gva);
      this.#pages.markEntry(gva, false);
    }
    for (const gva of suspended) this.#pages.markEntry(gva, true);
    return reason;
  }

  /** Guest bytes in a page with decoded code were written; the address comes from WebAssembly. */
  codeWritten(address: number, bytes: number): void {
    this.counters.codeWrites++;
    this.#pages.invalidate(address >>> 0, bytes);
    this.#codeChanged(address >>> 0, bytes);
  }

  /** Makes sure that the instruction at pc is decoded; false when it cannot be fetched. */
  prepare(): boolean {
    return this.#locate();
  }

  isDecoded(gva: number): boolean {
    return this.#pages.isDecoded(gva);
  }

  markEntry(gva: number, marked: boolean): void {
    this.#pages.markEntry(gva, marked);
  }

  #atEntry(): boolean {
    const state = this.#state;
    return (
      state.getUint32(StateOffset.pc + 4, true) === 0 && this.#pages.isEntry(state.getUint32(StateOffset.pc, true))
    );
  }

  flushCode(gva: number, length: number): void {
    this.#pages.drop(gva, length);
  }

  checkInvariants(): void {
    this.#pages.checkInvariants();
  }

  /** Makes sure that the instruction at pc is decoded, and points the frame at it. False when it cannot be fetched. */
  #locate(): boolean {
    const state = this.#state;
    const low = state.getUint32(StateOffset.pc, true);
    const high = state.getUint32(StateOffset.pc + 4, true);
    const fault = this.#pages.prepare(low, high);
    if (fault === undefined) return true;
    state.setInt32(StateOffset.cause, FaultKind.fetch, true);
    state.setBigUint64(StateOffset.value, fault, true);
    state.setInt32(StateOffset.faultWidth, 0, true);
    return false;
  }
}
