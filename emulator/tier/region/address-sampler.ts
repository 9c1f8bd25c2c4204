import { Builder } from '../../ir/builder.ts';
import type { Block, Value } from '../../ir/block.ts';
import type { Decoded, Isa } from '../../isa/instruction.ts';
import { PAGE_SIZE, PERMISSION, STATE, STATE_SIZE } from '../../layout/memory-map.ts';
import { type AccessKnowledge, type Assumption, pageNeeds } from './access-plan.ts';
import type { LoopKnowledge } from './loop-guard.ts';

/** Base register and displacement of an instruction's first access. */
interface Operand {
  /** Offset in the state. */
  readonly register: number;
  readonly displacement: number;
}

/** Addresses whose predecessors are remembered; then they are forgotten and counted anew. */
const MOST_ARRIVALS = 20_000;

/** The pages that an instruction was seen to access. */
interface PageSamples {
  readonly operand: Operand | undefined;
  page: number;
  /** Steps from one access to the next, and those of them to another page. */
  steps: number;
  changes: number;
}

/** Steps before an instruction is judged by them. */
const FEW_STEPS = 2;
/** Instructions whose pages are noted; then they are forgotten and begun anew. */
const MOST_NOTED = 10_000;

/** Where memory instructions have been seen to go, what memory is like there, and how often loops have turned. */
export class AddressSampler implements AccessKnowledge, LoopKnowledge {
  readonly #isa: Isa;
  readonly #state: DataView<ArrayBuffer>;
  readonly #permission: Uint8Array<ArrayBuffer>;
  readonly #seen = new Map<number, number>();
  readonly #distrusted = new Set<number>();
  readonly #ranges: Assumption[] = [];
  /** How often, by where from, an instruction was stepped to. */
  readonly #arrivals = new Map<number, Map<number, number>>();
  readonly #translated: boolean;
  readonly #pages = new Map<number, PageSamples>();

  /** `translated`: guest addresses are, so that pages are all that is noted. */
  constructor(isa: Isa, buffer: ArrayBuffer, guestSize: number, translated = false) {
    this.#translated = translated;
    this.#isa = isa;
    this.#state = new DataView(buffer, STATE, STATE_SIZE);
    this.#permission = new Uint8Array(buffer, PERMISSION, guestSize / PAGE_SIZE);
  }

  /** Notes where the instruction, which is about to run at `pc`, accesses memory. */
  note(pc: number, decoded: Decoded): void {
    if (this.#translated) return this.#notePage(pc, decoded);
    if (this.#seen.has(pc)) return;
    const operand = this.#operand(decoded);
    if (operand === undefined) return;
    const base = this.#state.getBigUint64(operand.register, true);
    if (base < 2n ** 32n) this.#seen.set(pc, Number(base) + operand.displacement);
  }

  /** Notes that the instruction at `from`, one of those followed one by one, led to `to`. */
  stepped(from: number, to: number): void {
    if (this.#arrivals.size >= MOST_ARRIVALS) this.#arrivals.clear();
    let sources = this.#arrivals.get(to);
    if (sources === undefined) this.#arrivals.set(to, (sources = new Map()));
    sources.set(from, (sources.get(from) ?? 0) + 1);
  }

  turns(pc: number, inside: (pc: number) => boolean): number | undefined {
    const sources = this.#arrivals.get(pc);
    if (sources === undefined) return undefined;
    let turns = 0;
    let begun = 0;
    for (const [from, times] of sources) {
      if (inside(from)) turns += times;
      else begun += times;
    }
    return turns / Math.max(1, begun);
  }

  wanders(pc: number): boolean {
    const samples = this.#pages.get(pc);
    return samples !== undefined && samples.steps >= FEW_STEPS && 4 * samples.changes > samples.steps;
  }

  observed(pc: number): number | undefined {
    return this.#seen.get(pc);
  }

  register(offset: number | undefined): number | undefined {
    if (offset === undefined) return undefined;
    const value = this.#state.getBigUint64(offset, true);
    return value < 2n ** 32n ? Number(value) : undefined;
  }

  distrusted(pc: number): boolean {
    return this.#distrusted.has(pc);
  }

  /** Instructions in [low, high) go to memory of several kinds. */
  distrust(low: number, high: number): void {
    for (let pc = low; pc < high; pc += this.#isa.alignment) this.#distrusted.add(pc);
  }

  /** The pages around an address that all allow what is needed. */
  around(address: number, write: boolean): Assumption | undefined {
    const known = this.#ranges.find((range) => range.write === write && address >= range.low && address < range.high);
    if (known !== undefined) return known;
    const { mask, need } = pageNeeds(write);
    const allows = (page: number) => (this.#permission[page]! & mask) === need;
    const page = Math.floor(address / PAGE_SIZE);
    if (page < 0 || page >= this.#permission.length || !allows(page)) return undefined;
    let first = page;
    let last = page;
    while (first > 0 && allows(first - 1)) first--;
    while (last + 1 < this.#permission.length && allows(last + 1)) last++;
    const range = { low: first * PAGE_SIZE, high: (last + 1) * PAGE_SIZE, write };
    this.#ranges.push(range);
    return range;
  }

  /** Whether what was assumed of memory is so now. */
  holds({ low, high, write }: Assumption): boolean {
    const range = this.around(low, write);
    return range !== undefined && range.low <= low && range.high >= high;
  }

  /** Permissions have changed. */
  forget(): void {
    this.#ranges.length = 0;
  }

  #notePage(pc: number, decoded: Decoded): void {
    let samples = this.#pages.get(pc);
    if (samples === undefined) {
      if (this.#pages.size >= MOST_NOTED) this.#pages.clear();
      samples = { operand: this.#operand(decoded), page: NaN, steps: -1, changes: -1 };
      this.#pages.set(pc, samples);
    }
    const { operand } = samples;
    if (operand === undefined) return;
    const low = this.#state.getUint32(operand.register, true);
    const high = this.#state.getInt32(operand.register + 4, true);
    const page = Math.floor((low + operand.displacement) / PAGE_SIZE) + high * 2 ** 20;
    samples.steps++;
    if (page !== samples.page) samples.changes++;
    samples.page = page;
  }

  #operand(decoded: Decoded): Operand | undefined {
    const builder = new Builder(this.#isa.name);
    builder.beginInstruction(0n, decoded.length);
    decoded.row.lift(builder, decoded.operands);
    const { block } = builder;
    const access = block.ops.find(({ name }) => name === 'load' || name === 'store');
    return access && operandOf(block, access.args[0]!);
  }
}

function operandOf(block: Block, value: Value): Operand | undefined {
  const op = block.ops[value]!;
  if (op.name === 'get') {
    const { file, index } = op.slot!;
    return { register: file.offset + file.stride * Number(index), displacement: 0 };
  }
  if (op.name !== 'add') return undefined;
  const base = block.ops[op.args[0]!]!;
  const displacement = block.ops[op.args[1]!]!;
  if (base.name !== 'get' || displacement.name !== 'const') return undefined;
  const { file, index } = base.slot!;
  return {
    register: file.offset + file.stride * Number(index),
    displacement: Number(BigInt.asIntN(64, displacement.bits!)),
  };
}
