import { assert } from '../../check/assert.ts';
import { FLOAT_OPS } from '../../ir/op/float.ts';
import type { Isa } from '../../isa/instruction.ts';
import {
  JUMP_CACHE,
  JUMP_CACHE_ENTRIES,
  JUMP_CACHE_ENTRY_SIZE,
  PAGE_SIZE,
  STATE,
  TlbEntry,
} from '../../layout/memory-map.ts';
import { ExitReason, StateOffset } from '../../layout/state.ts';
import type { FunctionBuilder, Label } from '../../wasm/function.ts';
import { ValType } from '../../wasm/type.ts';
import { Lowering } from '../lower.ts';
import { type MemoryPath } from '../memory-path.ts';
import { Runtime } from '../runtime.ts';
import { sequenceName, type Case, type Sequence } from './case.ts';
import { InlineSite, JUMP_STATUS, type MainFrame } from './case-site.ts';
import { addEntryOffset } from '../tlb-path.ts';
import { Frame } from './frame.ts';
import { EARLY_FLOATS, PROGRAM_SEQUENCES } from './sequences.ts';
import {
  CROSSING,
  ENTRY_BIT,
  FIRST_CASE,
  ILLEGAL,
  NOT_DECODED,
  PAGE_END,
  PageLayout,
  RECORD_SIZE,
  RecordField,
} from './record.ts';

const { i32, i64 } = ValType;

/** The main function's own exit reason beside ExitReason: the record says that the bytes are no instruction. */
export const ILLEGAL_EXIT = 32;
/** Another: the instruction has to be put together from two pages. */
export const CROSSING_EXIT = 33;
/** Another, of the early function alone: the main function has a case for the instruction, and can go on from the frame. */
export const EARLY_EXIT = 34;

/** What all main functions of an interpreter are made of. */
export interface MainFunctionParts {
  readonly isa: Isa;
  readonly cases: readonly Case[];
  readonly sequences: readonly Sequence[];
  readonly layout: PageLayout;
  readonly memory: MemoryPath;
  readonly runtime: Runtime;
  /** The table of twins, and their type. */
  readonly table: number;
  readonly twinType: number;
}

/** What one of them holds. */
export interface MainFunctionContents {
  /** Whether a sequence has a case; of the others runs the longest beginning that has one. */
  readonly holds: (sequence: Sequence) => boolean;
  /** Without cases for rare floating-point arithmetic (early-stage.ts). */
  readonly isEarly: boolean;
}

/**
 * The loop that dispatches: one `br_table` on the record's op. Cases are laid out one behind the other inside nested blocks. No call is in
 * it but the one to the twins, around which every variable is stored and loaded again: V8 keeps no register across a call, and would
 * otherwise spill the variables in every iteration.
 */
export class MainFunction {
  readonly #fn: FunctionBuilder;
  readonly #parts: MainFunctionParts;
  readonly #contents: MainFunctionContents;
  readonly #translated: boolean;

  constructor(fn: FunctionBuilder, parts: MainFunctionParts, contents: MainFunctionContents) {
    this.#fn = fn;
    this.#parts = parts;
    this.#contents = contents;
    this.#translated = parts.runtime.options.translated ?? false;
  }

  write(): void {
    const fn = this.#fn;
    const record = fn.local(i32);
    const budget = fn.local(i32);
    const pcDelta = fn.local(i64);
    const target = fn.local(i64);
    const reason = fn.local(i32);
    const reload = () => {
      this.#loadFrame('i32.load', Frame.record, record);
      this.#loadFrame('i32.load', Frame.budget, budget);
      this.#loadFrame('i64.load', Frame.pcDelta, pcDelta);
    };
    const pushPc = () => {
      fn.localGet(pcDelta);
      fn.localGet(record);
      fn.i32Const(this.#parts.layout.shift);
      fn.op('i32.shr_u');
      fn.op('i64.extend_i32_u');
      fn.op('i64.add');
    };

    reload();
    const exit = fn.block();
    const next = fn.loop();
    const jump = fn.block();
    const twin = fn.block();

    const spent = fn.block();
    fn.localGet(budget);
    fn.op('i32.eqz');
    fn.brIf(spent);
    this.#add(budget, -1);
    this.#dispatch(
      { record, pcDelta, target, next, jump, twin },
      {
        scratch: reason,
        budget,
        again: () => {
          this.#add(budget, 1);
          fn.br(next);
        },
        pageEnd: () => {
          this.#add(budget, 1);
          pushPc();
          fn.localSet(target);
          fn.br(jump);
        },
        outside: (code) => {
          this.#add(budget, 1);
          fn.i32Const(code);
          fn.localSet(reason);
          fn.br(exit);
        },
      },
    );
    fn.end(spent);
    fn.i32Const(ExitReason.budget);
    fn.localSet(reason);
    fn.br(exit);

    fn.end(twin);
    this.#storeFrame('i32.store', Frame.record, record);
    this.#storeFrame('i32.store', Frame.budget, budget);
    this.#storeFrame('i64.store', Frame.pcDelta, pcDelta);
    fn.localGet(record);
    fn.localGet(record);
    // Behind the first of a sequence instructions come here without having been dispatched, so the bit may be set.
    fn.load('i32.load16_u', { offset: RecordField.op });
    fn.i32Const(ENTRY_BIT - 1);
    fn.op('i32.and');
    fn.i32Const(FIRST_CASE);
    fn.op('i32.sub');
    fn.callIndirect(this.#parts.twinType, this.#parts.table);
    fn.localSet(reason);
    reload();
    fn.localGet(reason);
    fn.op('i32.eqz');
    fn.brIf(next);
    this.#loadFrame('i64.load', STATE + StateOffset.pc, target);
    fn.localGet(reason);
    fn.i32Const(JUMP_STATUS);
    fn.op('i32.eq');
    fn.brIf(jump);
    // Trapped or faulted: not retired.
    this.#add(budget, 1);
    fn.br(exit);

    fn.end(jump);
    if (this.#translated) this.#probeTlb(record, pcDelta, target, next);
    else this.#probe(record, pcDelta, target, next);
    this.#storeFrame('i64.store', STATE + StateOffset.pc, target);
    this.#storeFrame('i32.store', Frame.budget, budget);
    fn.i32Const(ExitReason.miss);
    fn.return();

    fn.end(next);
    fn.end(exit);
    fn.i32Const(0);
    pushPc();
    fn.store('i64.store', { offset: STATE + StateOffset.pc });
    this.#storeFrame('i32.store', Frame.budget, budget);
    fn.localGet(reason);
  }

  /** The `br_table` and the bodies of the inline cases. */
  #dispatch(
    frame: MainFrame,
    special: {
      scratch: number;
      budget: number;
      again: () => void;
      pageEnd: () => void;
      outside: (code: number) => void;
    },
  ): void {
    const fn = this.#fn;
    const { name } = this.#parts.isa;
    const common = new Set([
      ...(EARLY_FLOATS[name] ?? []),
      ...(PROGRAM_SEQUENCES[name] ?? []).flatMap((sequence) => sequence.split(' ')),
    ]);
    const isHeld = (which: Case) => !this.#contents.isEarly || common.has(which.key) || !isFloat(which);
    const inline = this.#parts.cases.filter((which) => which.inline && isHeld(which));
    const caseLabels = inline.map(() => fn.block());
    const sequences = this.#parts.sequences.filter(this.#contents.holds);
    const sequenceLabels = new Map(sequences.map((sequence) => [sequenceName(sequence), fn.block()]));
    const early = this.#contents.isEarly ? fn.block() : undefined;
    const illegal = fn.block();
    const pageEnd = fn.block();
    const crossing = fn.block();
    const notDecoded = fn.block();
    const labels: number[] = [];
    labels[CROSSING] = crossing;
    labels[NOT_DECODED] = notDecoded;
    labels[PAGE_END] = pageEnd;
    labels[ILLEGAL] = illegal;
    const labelOf = (which: Case): number => {
      if (!which.inline) return frame.twin;
      const position = inline.indexOf(which);
      const label = position < 0 ? early : caseLabels[position];
      assert(label !== undefined, `${which.key} has neither a case nor the main function's`);
      return label;
    };
    labels.push(...this.#parts.cases.map(labelOf));
    for (const sequence of this.#parts.sequences) {
      const name = sequenceName(sequence);
      // Of all its beginnings the longest; those of one instruction are the cases alone.
      const ends = [...name.matchAll(/ |$/g)].map(({ index }) => index).reverse();
      const label = ends.map((end) => sequenceLabels.get(name.slice(0, end))).find((known) => known !== undefined);
      labels.push(label ?? labelOf(sequence.cases[0]!));
    }
    fn.localGet(frame.record);
    fn.load('i32.load16_u', { offset: RecordField.op });
    fn.brTable(labels, notDecoded);
    fn.end(notDecoded);
    special.outside(ExitReason.miss);
    fn.end(crossing);
    if (this.#translated && !Number.isNaN(this.#parts.layout.crossing))
      this.#goToCrossing(frame, special.scratch, special.again);
    special.outside(CROSSING_EXIT);
    fn.end(pageEnd);
    special.pageEnd();
    fn.end(illegal);
    special.outside(ILLEGAL_EXIT);
    if (early !== undefined) {
      fn.end(early);
      this.#storeFrame('i32.store', Frame.record, frame.record);
      this.#storeFrame('i64.store', Frame.pcDelta, frame.pcDelta);
      special.outside(EARLY_EXIT);
    }
    for (const sequence of [...sequences].reverse()) {
      fn.end(sequenceLabels.get(sequenceName(sequence))!);
      this.#writeSequence(sequence, labelOf(sequence.cases[0]!), frame, special.budget);
    }
    const { shift } = this.#parts.layout;
    for (const [position, which] of [...inline.entries()].reverse()) {
      fn.end(caseLabels[position]!);
      this.#lower(which, new InlineSite(fn, which, shift, frame));
    }
  }

  /**
   * The cases of a sequence one behind the other, of which the first has been spent; or `alone`, the first alone, where the budget ends in between. Record and
   * budget go on only where a case may leave for its twin.
   */
  #writeSequence({ cases }: Sequence, alone: Label, frame: MainFrame, budget: number): void {
    const fn = this.#fn;
    const { shift } = this.#parts.layout;
    fn.localGet(budget);
    fn.i32Const(cases.length - 1);
    fn.op('i32.lt_u');
    fn.brIf(alone);
    let ahead = 0;
    let unspent = 0;
    for (const [position, which] of cases.entries()) {
      const isLast = position === cases.length - 1;
      if (isLast || which.refuses) this.#add(budget, -unspent);
      if (isLast || which.refuses) unspent = 0;
      if (which.refuses) this.#add(frame.record, ahead);
      if (which.refuses) ahead = 0;
      this.#lower(which, new InlineSite(fn, which, shift, frame, ahead, !isLast));
      ahead += which.length << shift;
      unspent++;
    }
  }

  #lower(which: Case, site: InlineSite): void {
    new Lowering(which.block, site, this.#parts.memory, this.#parts.runtime).run();
  }

  #add(local: number, amount: number): void {
    if (amount === 0) return;
    const fn = this.#fn;
    fn.localGet(local);
    fn.i32Const(amount);
    fn.op('i32.add');
    fn.localSet(local);
  }

  /**
   * At a record with op CROSSING: goes to the record of its instruction when fetches lead from the next page to those records that it was kept for; falls
   * through otherwise.
   */
  #goToCrossing({ record, pcDelta, target }: MainFrame, entry: number, again: () => void): void {
    const fn = this.#fn;
    const { shift, records, crossing } = this.#parts.layout;
    const distance = crossing - (records - 1) * RECORD_SIZE;
    const pushFollowing = () => {
      fn.localGet(record);
      fn.load('i32.load', { offset: RecordField.following });
    };
    fn.localGet(pcDelta);
    fn.localGet(record);
    fn.i32Const(shift);
    fn.op('i32.shr_u');
    fn.op('i64.extend_i32_u');
    fn.op('i64.add');
    // It is in the last place of its page.
    fn.i64Const(this.#parts.isa.alignment);
    fn.op('i64.add');
    fn.localSet(target);
    this.#pushFetchTag(target, entry);
    fn.localGet(target);
    fn.op('i64.eq');
    fn.localGet(entry);
    fn.load('i32.load', { offset: TlbEntry.code });
    pushFollowing();
    fn.op('i32.eq');
    fn.op('i32.and');
    pushFollowing();
    fn.i32Const(0);
    fn.op('i32.ne');
    fn.op('i32.and');
    const kept = fn.if();
    fn.localGet(record);
    fn.i32Const(distance);
    fn.op('i32.add');
    fn.localSet(record);
    fn.localGet(pcDelta);
    fn.i64Const(distance >> shift);
    fn.op('i64.sub');
    fn.localSet(pcDelta);
    again();
    fn.end(kept);
  }

  /** Looks the guest address in `target` up in the jump cache; falls through when it is not there. */
  #probe(record: number, pcDelta: number, target: number, next: number): void {
    const fn = this.#fn;
    const entry = record;
    const { alignment } = this.#parts.isa;
    fn.localGet(target);
    fn.op('i32.wrap_i64');
    fn.i32Const(Math.log2(PAGE_SIZE / JUMP_CACHE_ENTRY_SIZE));
    fn.op('i32.shr_u');
    fn.i32Const((JUMP_CACHE_ENTRIES - 1) * JUMP_CACHE_ENTRY_SIZE);
    fn.op('i32.and');
    fn.localTee(entry);
    fn.load('i64.load', { offset: JUMP_CACHE });
    // A misaligned target keeps its low bits here and so is never found.
    fn.localGet(target);
    fn.i64Const(-PAGE_SIZE + alignment - 1);
    fn.op('i64.and');
    fn.localTee(pcDelta);
    fn.op('i64.eq');
    const hit = fn.if();
    fn.localGet(pcDelta);
    fn.localGet(entry);
    fn.load('i32.load', { offset: JUMP_CACHE + 8 });
    fn.localTee(record);
    this.#enterPage(record, pcDelta, target);
    fn.br(next);
    fn.end(hit);
  }

  /** Leaves in `entry` (i32 local) where the first-level TLB has its entry for the page of `target`, and pushes the address that it permits fetches from. */
  #pushFetchTag(target: number, entry: number): void {
    const fn = this.#fn;
    fn.i32Const(0);
    fn.load('i32.load', { offset: STATE + StateOffset.fetchTlb });
    addEntryOffset(fn, target);
    fn.localTee(entry);
    fn.load('i64.load', { offset: TlbEntry.execute });
  }

  /** The same by the first-level TLB, whose entry for the page says what has been decoded from it. */
  #probeTlb(record: number, pcDelta: number, target: number, next: number): void {
    const fn = this.#fn;
    const entry = record;
    this.#pushFetchTag(target, entry);
    fn.localGet(target);
    fn.i64Const(-PAGE_SIZE + this.#parts.isa.alignment - 1);
    fn.op('i64.and');
    fn.localTee(pcDelta);
    fn.op('i64.eq');
    const mapped = fn.if();
    fn.localGet(entry);
    fn.load('i32.load', { offset: TlbEntry.code });
    fn.localTee(record);
    const decoded = fn.if();
    fn.localGet(pcDelta);
    fn.localGet(record);
    this.#enterPage(record, pcDelta, target);
    fn.br(next);
    fn.end(decoded);
    fn.end(mapped);
  }

  /** With the page's guest address and its records, which are in `record` too, on the stack: makes both locals those of the target. */
  #enterPage(record: number, pcDelta: number, target: number): void {
    const fn = this.#fn;
    const { shift } = this.#parts.layout;
    fn.i32Const(shift);
    fn.op('i32.shr_u');
    fn.op('i64.extend_i32_u');
    fn.op('i64.sub');
    fn.localSet(pcDelta);
    fn.localGet(record);
    fn.localGet(target);
    fn.op('i32.wrap_i64');
    fn.i32Const(PAGE_SIZE - 1);
    fn.op('i32.and');
    fn.i32Const(shift);
    fn.op('i32.shl');
    fn.op('i32.add');
    fn.localSet(record);
  }

  #loadFrame(name: 'i32.load' | 'i64.load', address: number, local: number): void {
    this.#fn.i32Const(0);
    this.#fn.load(name, { offset: address });
    this.#fn.localSet(local);
  }

  #storeFrame(name: 'i32.store' | 'i64.store', address: number, local: number): void {
    this.#fn.i32Const(0);
    this.#fn.localGet(local);
    this.#fn.store(name, { offset: address });
  }
}

function isFloat({ block }: Case): boolean {
  return block.ops.some(({ name }) => name in FLOAT_OPS);
}
