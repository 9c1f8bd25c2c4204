import { assert, CHECK, CheckLevel } from '../../check/assert.ts';
import type { Isa } from '../../isa/instruction.ts';
import type { SystemHooks } from '../../isa/instruction.ts';
import { GUEST, PAGE_SIZE, STATE, STATE_SIZE } from '../../layout/memory-map.ts';
import { ExitReason, StateOffset } from '../../layout/state.ts';
import type { Mmu } from '../../memory/mmu.ts';
import { FlatCode, markLine, NOWHERE, TranslatedCode, type CodeSpace } from '../code-space.ts';
import { CodeWrites } from './code-writes.ts';
import { Approach, DecodedPages, type RecordSpace } from './decoded-pages.ts';
import { EarlyState, Frame } from './frame.ts';
import { interpreterModule } from './generate.ts';
import { type EarlyStage, firstStage } from './early-stage.ts';
import { instantiate } from './instance.ts';
import { CROSSING_EXIT, ILLEGAL_EXIT } from './main-function.ts';

/** Address translation around a vCPU. */
export interface TranslationOptions {
  readonly mmu: Mmu;
  readonly hooks: SystemHooks;
  /** Where decoded pages are kept; in the usual place unless given. */
  readonly records?: RecordSpace;
}

export interface InterpreterOptions {
  /** Bytes of guest address space from guest address 0: a multiple of 64 KiB. */
  readonly guestSize: number;
  /** Guest memory is behind this MMU; flat unless given. */
  readonly translation?: TranslationOptions;
  /** Shared by the processes of a run; one of its own unless given. */
  readonly stage?: EarlyStage;
  /** Nanoseconds of guest time; one for each retired instruction unless given. */
  readonly time?: () => bigint;
  /** Told of every change of decoded code: bytes [place, place + length). */
  readonly codeChanged?: (place: number, length: number) => void;
  /** Told of every page that begins to hold decoded code, by its place. */
  readonly codePageAdded?: (page: number) => void;
  /** Behind address translation, the page at a place has records for the first time, and is about to be executed at a guest address. */
  readonly codePageReached?: (page: number, pc: number) => void;
}

/** Exact counts since the interpreter was made. */
export interface InterpreterCounters {
  /** Instructions retired. */
  instructions: number;
  /** Times that control came back because the next instruction was not decoded or its page not in the jump cache. */
  misses: number;
  /** Instructions decoded to records. */
  decoded: number;
  /** Calls of ISA helpers but for what their forms do. */
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
/** Words of the linear memory. */
const PC = (STATE + StateOffset.pc) / 4;
const BUDGET = Frame.budget / 4;
const WITHHELD = Frame.withheld / 4;
const EARLY = Frame.early / 4;
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
  readonly code: CodeSpace;
  /** As the ISA's, but faster for instructions that have templates. */
  readonly decodeExecuted: Isa['decodeExecuted'];
  /** See RecordTemplates, of the encoding at an offset. */
  readonly classAt: (bytes: Uint8Array, offset: number) => number;
  /** Calls helper `index` of the ISA for generated code. */
  readonly callHelper: (index: number) => number;
  readonly codeWrites: CodeWrites;
  readonly #isa: Isa;
  readonly #pages: DecodedPages;
  readonly #state: DataView<ArrayBuffer>;
  /** The linear memory, for what is read and written whenever control comes out. */
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #linear: Uint8Array<ArrayBuffer>;
  readonly #enter: () => number;
  readonly #illegalInstruction: number;
  readonly #recordShift: number;
  readonly #stage: EarlyStage;
  /** Instructions that the current entry may retire. */
  #slice = 0;
  #stopRequested = false;

  constructor(isa: Isa, memory: WebAssembly.Memory, options: InterpreterOptions) {
    const { guestSize, translation, codeChanged = () => {} } = options;
    const buffer = memory.buffer as ArrayBuffer;
    assert(buffer.byteLength >= GUEST + guestSize, 'guest memory lies in the linear memory');
    const { counters } = this;
    const made = interpreterModule(isa, { guestSize, translated: translation !== undefined });
    const code =
      translation === undefined
        ? new FlatCode(buffer, guestSize, isa.alignment)
        : new TranslatedCode(buffer, translation.mmu);
    const pages = new DecodedPages(
      isa,
      made,
      buffer,
      code,
      counters,
      options.codePageAdded ?? (() => {}),
      options.codePageReached ?? (() => {}),
      // Stores to it are no longer seen.
      (page) => codeChanged(page, PAGE_SIZE),
      translation?.records,
    );
    const linear = new Uint8Array(buffer);
    const codeWrites = new CodeWrites(pages, linear, counters, codeChanged);
    const { enter, callHelper } = instantiate(isa, memory, made, {
      counters,
      codeWrites,
      translation,
      time: options.time,
      retired: () => this.retired,
      stop: () => this.requestStop(),
    });
    if (translation !== undefined)
      translation.mmu.onCodeWrite = (place, length) => codeWrites.pageWritten(place >>> 0, length);
    this.codeWrites = codeWrites;
    this.callHelper = callHelper;
    this.code = code;
    this.#isa = isa;
    this.#linear = linear;
    this.#enter = enter;
    this.#pages = pages;
    this.#state = new DataView(buffer, STATE, STATE_SIZE);
    this.#words = new Int32Array(buffer);
    this.#illegalInstruction = isa.illegalInstruction;
    this.#recordShift = made.layout.shift;
    this.#stage = options.stage ?? firstStage(translation !== undefined);
    this.#words[EARLY] = EarlyState.main;
    this.#chooseFunction();
    this.decodeExecuted = made.decodeExecuted;
    this.classAt = made.classAt;
  }

  /**
   * See Vcpu.run. With `ENTERED` translated code begins at pc. Comes back early, with `ExitReason.helper`, when a stop was requested, which
   * stays so until `takeStop`.
   */
  run(budget: number): ExitReason | typeof ENTERED {
    const { counters } = this;
    const end = counters.instructions + budget;
    let missed = 0;
    while (counters.instructions < end) {
      if (this.#stopRequested) return ExitReason.helper;
      const found = this.#approach(false);
      if (found === Approach.entry) return ENTERED;
      counters.misses += missed;
      if (found === Approach.fault) {
        this.#fetchFault();
        return ExitReason.fault;
      }
      const reason = this.conclude(this.#runSlice(Math.min(end - counters.instructions, SLICE)));
      if (CHECK >= CheckLevel.full) this.checkInvariants();
      missed = reason === ExitReason.miss ? 1 : 0;
      if (missed === 0 && reason !== ExitReason.budget) return reason;
    }
    if (this.#stopRequested) return ExitReason.helper;
    if (missed !== 0 && this.isAtEntry()) return ENTERED;
    counters.misses += missed;
    return ExitReason.budget;
  }

  /** Makes generated code that runs come back after its present instruction; nothing to do while none does. */
  requestStop(): void {
    if (this.#slice === 0) return;
    this.#stopRequested = true;
    this.#words[WITHHELD]! += this.#words[BUDGET]!;
    this.#words[BUDGET] = 0;
  }

  /** Whether a stop has been requested since the last call. */
  takeStop(): boolean {
    const requested = this.#stopRequested;
    this.#stopRequested = false;
    return requested;
  }

  get stopRequested(): boolean {
    return this.#stopRequested;
  }

  /** What runs records, for those who enter it from WebAssembly between `beginSlice` and `conclude`. */
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
    this.#words[WITHHELD] = 0;
    this.#words[BUDGET] = instructions;
  }

  /** Control has come back from generated code: how many instructions of the slice have retired. */
  endSlice(): number {
    const retired = this.#sliceRetired();
    this.beginSlice(0);
    return retired;
  }

  /** Instructions retired by now, also while generated code runs: then as exact as what it has called knows. */
  get retired(): number {
    return this.counters.instructions + this.#sliceRetired();
  }

  #sliceRetired(): number {
    return this.#slice - this.#words[BUDGET]! - this.#words[WITHHELD]!;
  }

  /** So many instructions have been interpreted by those who enter `main` from WebAssembly. */
  noteInterpreted(instructions: number): void {
    this.#stage.add(instructions);
    this.#chooseFunction();
  }

  /** What it means that the main function came back with `reason`; `miss` means go on at pc. */
  conclude(reason: number): ExitReason {
    if (reason === CROSSING_EXIT) return this.conclude(this.#runCrossing());
    if (reason !== ILLEGAL_EXIT) return reason as ExitReason;
    const place = this.code.fetch(this.#words[PC]!, this.#words[PC + 1]!);
    return place === NOWHERE ? this.#fetchFault() : this.#illegal(this.#pages.bitsAt(place));
  }

  /** As `run`, but runs on where translated code begins. */
  runPastEntries(budget: number): ExitReason {
    const suspended: number[] = [];
    const { counters } = this;
    const end = counters.instructions + budget;
    let reason: ExitReason = ExitReason.budget;
    for (;;) {
      const outcome = this.run(end - counters.instructions);
      if (outcome !== ENTERED) {
        reason = outcome;
        break;
      }
      const place = this.#place();
      suspended.push(place);
      this.#pages.markEntry(place, false);
    }
    for (const place of suspended) this.#pages.markEntry(place, true);
    return reason;
  }

  /** Makes sure that the instruction at pc is decoded; false when it cannot be fetched. */
  prepare(): boolean {
    if (this.#pages.prepare(this.#words[PC]!, this.#words[PC + 1]!)) return true;
    this.#fetchFault();
    return false;
  }

  /** Where control is for those who enter `main` from WebAssembly: `ready`, `entry` or `unknown`, which new code is. */
  look(): Approach {
    return this.#approach(true);
  }

  /** Whether the instruction at a guest address has been decoded, and can be fetched now for all that is known. */
  isDecoded(pc: number): boolean {
    const place = this.code.placeOf(pc);
    return place !== NOWHERE && this.#pages.isDecoded(place);
  }

  /** Whether the instruction at a place has been decoded; it stays so until its code is reported as changed. */
  isDecodedAt(place: number): boolean {
    return this.#pages.isDecoded(place);
  }

  /** Whether the instruction at a place runs on into a page that may lie anywhere. */
  isCrossing(place: number): boolean {
    return this.#pages.isCrossing(place);
  }

  /** Linear address of the records of the page around a place; 0 when it has none. */
  recordsOf(place: number): number {
    return this.#pages.recordsOf(place);
  }

  /** See DecodedPages. */
  admitPage(place: number): number {
    return this.#pages.admit(place);
  }

  /** See DecodedPages. */
  takeTouched(all: boolean): number[] {
    return this.#pages.takeTouched(all);
  }

  /** See DecodedPages. */
  guestPages(): IterableIterator<[number, number]> {
    return this.#pages.guestPages();
  }

  /** See DecodedPages. */
  guard(place: number, length: number): void {
    this.#pages.guard(place, length);
  }

  /** See DecodedPages. */
  decodedIn(page: number): Uint16Array<ArrayBuffer> {
    return this.#pages.decodedIn(page);
  }

  /** Code has been translated from places [low, high), of which not every instruction has a record. */
  noteCode(low: number, high: number): void {
    markLine(this.#linear, low);
    markLine(this.#linear, high - 1);
  }

  markEntry(place: number, marked: boolean): void {
    this.#pages.markEntry(place, marked);
  }

  /** Whether translated code begins at pc, as far as marks tell. */
  isAtEntry(): boolean {
    const place = this.#place();
    return place !== NOWHERE && this.#pages.isEntry(place);
  }

  #place(): number {
    return this.code.placeAt(this.#words[PC]!, this.#words[PC + 1]!);
  }

  #approach(lookOnly: boolean): Approach {
    return this.#pages.approach(this.#words[PC]!, this.#words[PC + 1]!, lookOnly);
  }

  flushCode(place: number, length: number): void {
    this.#pages.drop(place, length);
  }

  checkInvariants(): void {
    this.#pages.checkInvariants();
  }

  #runSlice(slice: number): number {
    this.#chooseFunction();
    this.beginSlice(slice);
    const reason = this.#enter();
    const retired = this.endSlice();
    this.counters.instructions += retired;
    this.#stage.add(retired);
    return reason;
  }

  /** The end of a slice must not depend on it: whether an instruction is decoded there or elsewhere is counted. */
  #chooseFunction(): void {
    if (this.#words[EARLY] === EarlyState.over) this.#stage.end();
    this.#words[EARLY] = this.#stage.isEarly ? EarlyState.early : EarlyState.main;
  }

  /** Runs the instruction at pc, which lies in two pages, and keeps it for the next time. */
  #runCrossing(): number {
    const { code } = this;
    const { bytes } = code;
    const low = this.#words[PC]!;
    const high = this.#words[PC + 1]!;
    const first = code.fetch(low, high);
    if (first === NOWHERE) return this.#fetchFault();
    const inFirst = PAGE_SIZE - (first % PAGE_SIZE);
    const nextLow = (low + inFirst) | 0;
    const second = code.fetch(nextLow, nextLow === 0 ? (high + 1) | 0 : high);
    if (second === NOWHERE) return this.#fetchFault();
    const { maximumLength } = this.#isa;
    const whole = Uint8Array.from({ length: maximumLength }, (_, at) =>
      at < inFirst ? bytes[first + at]! : bytes[second + at - inFirst]!,
    );
    const decoded = this.decodeExecuted(whole, 0);
    if (decoded === undefined) return this.#illegal(whole.reduceRight((bits, byte) => (bits << 8n) | BigInt(byte), 0n));
    const record = this.#pages.keepCrossing(first, second, decoded, this.#isa.wordAt?.(whole, 0));
    this.#pages.pointAt(record, low, high, record >>> this.#recordShift);
    return this.#runSlice(1);
  }

  #illegal(bits: bigint): ExitReason {
    this.#state.setInt32(StateOffset.cause, this.#illegalInstruction, true);
    this.#state.setBigUint64(StateOffset.value, bits, true);
    return ExitReason.trap;
  }

  #fetchFault(): ExitReason {
    const { kind, low, high } = this.code.fault;
    this.#state.setInt32(StateOffset.cause, kind, true);
    this.#state.setInt32(StateOffset.value, low, true);
    this.#state.setInt32(StateOffset.value + 4, high, true);
    this.#state.setInt32(StateOffset.faultWidth, 0, true);
    return ExitReason.fault;
  }
}
