import { FloatFlag } from '../bits/float-format.ts';
import type { RegisterFile } from '../ir/type.ts';
import type { Isa } from '../isa/instruction.ts';
import { GUEST, PAGE_SIZE, STATE, STATE_SIZE } from '../layout/memory-map.ts';
import { ExitReason, StateOffset } from '../layout/state.ts';
import { exactFloat } from './host-imports.ts';
import { Frame } from './interpreter/frame.ts';
import { ENTERED, Interpreter, type InterpreterCounters, type InterpreterOptions } from './interpreter/interpreter.ts';
import { slotName } from '../pass/pipeline.ts';
import { Profile } from './profile.ts';
import { planAccesses } from './region/access-plan.ts';
import { AddressSampler } from './region/address-sampler.ts';
import { Discovery } from './region/discover.ts';
import { chooseEntry } from './region/entry.ts';
import type { RegionNode } from './region/node.ts';
import { Region } from './region/region.ts';
import { Status } from './region/status.ts';
import { translateRegion } from './region/translate.ts';

/** Exact counts beside the interpreter's. */
export interface TieredCounters extends InterpreterCounters {
  regions: number;
  regionEntries: number;
  /** Instructions retired in regions. */
  regionInstructions: number;
  /** Instructions that a region left to the interpreter. */
  refusals: number;
  regionsDropped: number;
}

/** Guest instructions between two samples of the interpreter. */
const SAMPLE_INTERVAL = 10_000;
/** Instructions in one entry of a region: V8 replaces code only between entries. */
const SLICE = 1_000_000;
const TRACE_LENGTH = 200;
const OBSERVED_STEPS = 400;
const HOT_SAMPLES = 2;
const HOT_EXITS = 40;
const MANY_REFUSALS = 50;
const FEW_INSTRUCTIONS = 100;

interface Entry {
  readonly region: Region;
  readonly number: number;
}

/** The interpreter, and regions of hot code on top of it. */
export class TieredEngine {
  readonly counters: TieredCounters;
  readonly #isa: Isa;
  readonly #interpreter: Interpreter;
  readonly #state: DataView<ArrayBuffer>;
  readonly #frame: DataView<ArrayBuffer>;
  readonly #memory: WebAssembly.Memory;
  readonly #options: InterpreterOptions;
  readonly #guest: Uint8Array;
  readonly #profile = new Profile();
  readonly #addresses: AddressSampler;
  readonly #entries = new Map<number, Entry>();
  readonly #regions = new Set<Region>();
  readonly #samples = new Map<number, number>();
  readonly #heat = new Map<number, number>();
  readonly #refusedAt = new Map<number, number>();
  readonly #refused = new Set<number>();
  #untilSample = SAMPLE_INTERVAL;
  /** Instructions retired when the present budget is used up. */
  #end = 0;

  constructor(isa: Isa, memory: WebAssembly.Memory, options: InterpreterOptions) {
    const buffer = memory.buffer as ArrayBuffer;
    this.#isa = isa;
    this.#memory = memory;
    this.#options = options;
    this.#interpreter = new Interpreter(isa, memory, {
      ...options,
      codeChanged: (gva, length) => this.#drop(gva, length, 'code'),
      codePageAdded: (page) => {
        this.#addresses.forget();
        this.#drop(page, PAGE_SIZE, 'writes');
      },
    });
    this.#addresses = new AddressSampler(isa, buffer, options.guestSize);
    this.#state = new DataView(buffer, STATE, STATE_SIZE);
    this.#frame = new DataView(buffer);
    this.#guest = new Uint8Array(buffer, GUEST, options.guestSize);
    this.counters = Object.assign(this.#interpreter.counters, {
      regions: 0,
      regionEntries: 0,
      regionInstructions: 0,
      refusals: 0,
      regionsDropped: 0,
    });
  }

  /** See Vcpu.run. */
  run(budget: number): ExitReason {
    const { counters } = this;
    const interpreter = this.#interpreter;
    const end = counters.instructions + budget;
    this.#end = end;
    for (;;) {
      const left = end - counters.instructions;
      if (left <= 0) return ExitReason.budget;
      const entry = this.#entryAtPc();
      if (entry !== undefined) {
        if (left < entry.region.code.longest) return interpreter.runPastEntries(left);
        const { region } = entry;
        if (!this.#suits(region)) {
          const reason = this.#unsuited(region, end);
          if (reason !== ExitReason.budget) return reason;
          continue;
        }
        const reason = this.#runRegion(region, entry.number, end);
        if (reason !== ExitReason.budget) return reason;
        continue;
      }
      const slice = Math.min(left, this.#untilSample);
      const before = counters.instructions;
      const reason = interpreter.run(slice);
      this.#untilSample -= counters.instructions - before;
      if (this.#untilSample <= 0) {
        this.#untilSample = SAMPLE_INTERVAL;
        if (reason === ExitReason.budget) this.#sample(end);
      }
      if (reason === ENTERED || reason === ExitReason.budget) continue;
      return reason;
    }
  }

  flushCode(gva: number, length: number): void {
    this.#drop(gva, length, 'all');
    this.#addresses.forget();
    this.#interpreter.flushCode(gva, length);
  }

  checkInvariants(): void {
    this.#interpreter.checkInvariants();
  }

  #pc(): number {
    const state = this.#state;
    return state.getUint32(StateOffset.pc, true) + 2 ** 32 * state.getUint32(StateOffset.pc + 4, true);
  }

  #setPc(pc: number): void {
    this.#state.setUint32(StateOffset.pc, pc, true);
    this.#state.setUint32(StateOffset.pc + 4, 0, true);
  }

  #entryAtPc(): Entry | undefined {
    return this.#entries.get(this.#pc());
  }

  /** Runs a region until it leaves for good; `budget` means go on at pc. */
  #runRegion(region: Region, entry: number, end: number): ExitReason {
    const { counters } = this;
    for (;;) {
      const left = end - counters.instructions;
      if (left < region.code.longest) return ExitReason.budget;
      const slice = left < SLICE ? left : SLICE;
      this.#frame.setInt32(Frame.budget, slice, true);
      counters.regionEntries++;
      const t0 = performance.now();
      const status = region.run(entry);
      (region as any).ms = ((region as any).ms ?? 0) + performance.now() - t0;
      let rest = this.#frame.getInt32(Frame.budget, true);
      if ((status & Status.spent) !== 0) {
        entry = status & ~Status.spent;
        this.#retire(slice - rest);
        this.#setPc(region.code.entries[entry - 1]!.pc);
        continue;
      }
      if (status === Status.left) {
        this.#retire(slice - rest);
        this.#noteArrival(region);
        return ExitReason.budget;
      }
      const number = status & Status.exitMask;
      const exit = region.exit(number);
      rest += exit.refund;
      this.#retire(slice - rest);
      const count = ++region.exitCounts[number - 1]!;
      if (exit.kind !== 'interpret') {
        if (exit.kind === 'indirect') this.#profile.noteJump(exit.pc, this.#pc());
        if (exit.kind === 'indirect' && count === HOT_EXITS) this.#retranslate(region);
        else this.#noteArrival(region);
        return ExitReason.budget;
      }
      this.#setPc(exit.pc);
      const reason = status >>> Status.reasonShift;
      if (reason !== 0) return reason as ExitReason;
      counters.refusals++;
      this.#noteRefusal(region, exit.pc);
      return this.#interpreter.runPastEntries(1);
    }
  }

  #modeValue({ offset, type }: RegisterFile): bigint {
    return type === 'i32' ? BigInt(this.#state.getUint32(offset, true)) : this.#state.getBigUint64(offset, true);
  }

  /** Whether the modes and flags are those the region was made for. */
  #suits(region: Region): boolean {
    if (region.code.inexactAccrued && !this.#inexactAccrued()) return false;
    for (const [file, value] of region.modes) if (this.#state.getUint32(file.offset, true) !== value) return false;
    return true;
  }

  #inexactAccrued(): boolean {
    return (this.#state.getUint32(StateOffset.floatFlags, true) & FloatFlag.inexact) !== 0;
  }

  /** The region may not be entered; when that keeps happening it is made anew for what modes and flags are now. */
  #unsuited(region: Region, end: number): ExitReason {
    if (++region.refusedEntries === MANY_REFUSALS) {
      this.#retranslate(region);
      return ExitReason.budget;
    }
    return this.#interpreter.runPastEntries(Math.min(end - this.counters.instructions, FEW_INSTRUCTIONS));
  }

  #retire(instructions: number): void {
    this.counters.instructions += instructions;
    this.counters.regionInstructions += instructions;
  }

  /** Control left a region: when it keeps going to code without one, the region grows or another begins there. */
  #noteArrival(region: Region): void {
    const pc = this.#pc();
    if (this.#entries.has(pc)) return;
    const heat = (this.#heat.get(pc) ?? 0) + 1;
    this.#heat.set(pc, heat);
    if (heat !== HOT_EXITS || !this.#interpreter.isDecoded(pc)) return;
    const grown = region.live ? this.#discovery().discover(region.seed) : [];
    if (grown.some((node) => node.pc === pc)) this.#retranslate(region);
    else this.#translate(pc);
  }

  #noteRefusal(region: Region, pc: number): void {
    const count = (this.#refusedAt.get(pc) ?? 0) + 1;
    this.#refusedAt.set(pc, count);
    if (count % MANY_REFUSALS !== 0) return;
    if (process.env['DBG']) console.log('refused', pc.toString(16), count, region.retranslations);
    // A function that is called with addresses of another kind has more such instructions.
    if (count === MANY_REFUSALS && !this.#addresses.distrusted(pc)) {
      for (const [low, high] of region.code.ranges) if (pc >= low && pc < high) this.#addresses.distrust(low, high);
    } else {
      this.#refused.add(pc);
    }
    this.#retranslate(region);
  }

  /** Looks where the interpreter is, and translates what it is seen at again. */
  #sample(end: number): void {
    const pc = this.#pc();
    const line = pc >>> 6;
    const samples = (this.#samples.get(line) ?? 0) + 1;
    this.#samples.set(line, samples);
    if (samples < HOT_SAMPLES) return;
    this.#samples.set(line, 0);
    const seed = this.#trace(end);
    if (seed !== undefined) this.#translate(seed);
  }

  /** Runs instruction by instruction and gives the address that backward jumps and calls reached most often. */
  #trace(end: number): number | undefined {
    const { counters } = this;
    const seen = new Map<number, number>();
    let best: number | undefined;
    let most = 0;
    for (let step = 0; step < TRACE_LENGTH && counters.instructions < end; step++) {
      const from = this.#pc();
      if (this.#entries.has(from)) return best;
      const decoded = this.#decode(from);
      if (decoded !== undefined) this.#addresses.note(from, decoded);
      if (this.#interpreter.run(1) !== ExitReason.budget || decoded === undefined) return undefined;
      const to = this.#pc();
      if (to === from + decoded.length) continue;
      if (decoded.row.name === 'jalr') this.#profile.noteJump(from, to);
      if (to > from) continue;
      const count = (seen.get(to) ?? 0) + 1;
      seen.set(to, count);
      if (count > most) {
        most = count;
        best = to;
      }
    }
    return best;
  }

  #decode(pc: number) {
    if (pc >= this.#guest.length) return undefined;
    const decoded = this.#isa.decode(this.#guest, pc);
    return decoded && this.#isa.canonical(decoded);
  }

  #discovery(): Discovery {
    return new Discovery(this.#isa, {
      instruction: (pc) => (this.#interpreter.isDecoded(pc) ? this.#decode(pc) : undefined),
      jumpTargets: (pc) => this.#profile.jumpTargets(pc),
      modes: new Map(this.#isa.modes?.map((file) => [slotName({ file, index: 0 }), this.#modeValue(file)])),
    });
  }

  #translate(seed: number): void {
    let nodes = this.#discovery().discover(seed);
    if (nodes.length === 0) return;
    const entry = chooseEntry(nodes);
    if (entry !== seed) {
      // A region that holds the seed already is come back to at its next entry.
      const known = this.#entries.get(entry)?.region;
      if (known?.code.ranges.some(([low, high]) => low <= seed && seed < high) === true) return;
      nodes = this.#discovery().discover(entry);
    }
    this.#observe(nodes);
    if (process.env['DBG']) {
      let k: any = {};
      for (const n of nodes)
        for (const c of planAccesses(n.block, this.#addresses).values()) k[c.kind] = (k[c.kind] ?? 0) + 1;
      console.log(
        'translate',
        performance.now().toFixed(1),
        seed.toString(16),
        entry.toString(16),
        nodes.length,
        'nodes',
        nodes.reduce((s, n) => s + n.instructions, 0),
        JSON.stringify(k),
        this.counters.instructions,
      );
    }
    const modes = (this.#isa.modes ?? []).map((file) => [file, Number(this.#modeValue(file))] as const);
    const code = translateRegion(
      this.#isa,
      nodes,
      this.#options,
      this.#refused,
      this.#addresses,
      this.#inexactAccrued(),
    );
    const { counters } = this;
    const computeFloat = exactFloat(this.#state, code.floatOps);
    const imports = {
      memory: this.#memory,
      helper: () => 0,
      float: (index: number) => {
        counters.floatCalls++;
        computeFloat(index);
      },
      codeWritten: (address: number, bytes: number) => this.#interpreter.codeWritten(address, bytes),
    };
    const instance = new WebAssembly.Instance(new WebAssembly.Module(code.bytes), { env: imports });
    const region = new Region(entry, code, modes, instance.exports['run'] as (entry: number) => number);
    counters.regions++;
    if (process.env['DBG'])
      console.log(
        '  done',
        performance.now().toFixed(1),
        code.bytes.length,
        code.inexactAccrued,
        Object.entries(
          nodes.flatMap((n) => n.block.ops).reduce((m: any, o) => ((m[o.name] = (m[o.name] ?? 0) + 1), m), {}),
        )
          .map((e) => e.join(':'))
          .join(' '),
      );
    for (const other of this.#regions) if (covers(code.ranges, other.code.ranges)) this.#remove(other);
    this.#regions.add(region);
    if (process.env['DBG'])
      process.on('exit', () =>
        console.log(entry.toString(16), (region as any).ms?.toFixed(1), 'ms', 'instr', code.counters.instructions),
      );
    code.entries.forEach(({ pc, inlined }, position) => {
      if (inlined) return;
      if (position > 0 && this.#entries.has(pc)) return;
      this.#entries.set(pc, { region, number: position + 1 });
      this.#interpreter.markEntry(pc, true);
    });
  }

  /** Runs some instructions one by one to see where those of the nodes access memory. */
  #observe(nodes: readonly RegionNode[]): void {
    const wanted = new Set<number>();
    for (const { block } of nodes) {
      let pc = 0;
      for (const op of block.ops) {
        if (op.name === 'insn') pc = Number(op.pc);
        else if ((op.name === 'load' || op.name === 'store') && this.#addresses.observed(pc) === undefined)
          wanted.add(pc);
      }
    }
    const { counters } = this;
    for (let step = 0; step < OBSERVED_STEPS && wanted.size > 0 && counters.instructions < this.#end; step++) {
      const pc = this.#pc();
      const decoded = this.#decode(pc);
      if (decoded === undefined) return;
      if (wanted.delete(pc)) this.#addresses.note(pc, decoded);
      if (this.#interpreter.runPastEntries(1) !== ExitReason.budget) return;
    }
  }

  #retranslate(region: Region): void {
    if (region.retranslations > 8) return;
    this.#remove(region);
    this.#translate(region.seed);
    const made = this.#entries.get(region.seed)?.region;
    if (made !== undefined) made.retranslations = region.retranslations + 1;
  }

  /** Drops regions whose code, assumptions about writable memory, or any of these meet the guest bytes [gva, gva + length). */
  #drop(gva: number, length: number, what: 'code' | 'writes' | 'all'): void {
    const end = gva + length;
    for (const region of this.#regions) {
      const { ranges, assumptions } = region.code;
      const hit =
        (what !== 'writes' && ranges.some(([low, high]) => low < end && gva < high)) ||
        (what !== 'code' &&
          assumptions.some(({ low, high, write }) => (write || what === 'all') && low < end && gva < high));
      if (!hit) continue;
      this.#remove(region);
      this.counters.regionsDropped++;
    }
  }

  #remove(region: Region): void {
    region.live = false;
    this.#regions.delete(region);
    for (const { pc } of region.code.entries) {
      if (this.#entries.get(pc)?.region !== region) continue;
      this.#entries.delete(pc);
      this.#interpreter.markEntry(pc, false);
    }
  }
}

/** Whether every byte of `inner` is in `outer`; both are ascending and without overlap. */
function covers(outer: readonly (readonly [number, number])[], inner: readonly (readonly [number, number])[]): boolean {
  return inner.every(([low, high]) => outer.some(([from, to]) => from <= low && high <= to));
}
