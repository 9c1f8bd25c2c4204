import type { Isa } from '../../isa/instruction.ts';
import { PAGE_SIZE, PERMISSION, STATE, STATE_SIZE } from '../../layout/memory-map.ts';
import { REGISTERS } from '../../layout/state.ts';
import { NOWHERE } from '../code-space.ts';
import type { Interpreter } from '../interpreter/interpreter.ts';
import type { Region } from '../region/region.ts';
import type { TranslationReason } from '../engine-options.ts';
import { TRACED_REGISTERS, type CodePage, type CompileReply, type CompilerConnection, type Wish } from './message.ts';

/** Requests on their way at once that are not for something that runs already: another one would often be for the same loop. */
const MOST_PENDING = 1;
/** Changes of code remembered for replies on their way; after more, all of these are out of date. */
const MOST_CHANGES = 1000;
/** Instructions after which a reply is not waited for any more: several seconds. */
const LONGEST_WAIT = 4e9;
const TRACED_BYTES = 8 * TRACED_REGISTERS;

type Ranges = readonly (readonly [number, number])[];

/** A region that has been asked for. */
export interface Pending {
  readonly reason: TranslationReason;
  readonly wishes: readonly Wish[];
  readonly choose: boolean;
  /** The regions to be replaced, for each wish; of an arrival, the region that was left. */
  readonly regions: readonly Region[];
  /** It is asked for since a region gave instructions back. */
  readonly refusal: boolean;
}

interface Sent {
  readonly pending: Pending;
  /** Instructions that had retired. */
  readonly at: number;
  /** Changes of code that it knows of. */
  readonly changes: number;
}

/** A reply to something that was asked for and may be outdated. */
export interface Answer {
  readonly pending: Pending;
  readonly reply: CompileReply;
  /** Whether code at places in the ranges [low, high) has changed since it was asked for. */
  readonly outdated: (ranges: Ranges) => boolean;
}

/** The guest's end of the way to a compiler: gathers what that has to know, asks, and says what has changed when the answer comes. */
export class CompilerClient {
  readonly #isa: Isa;
  readonly #linear: Uint8Array<ArrayBuffer>;
  readonly #guestSize: number;
  readonly #interpreter: Interpreter;
  readonly #connection: CompilerConnection;
  readonly #sent = new Map<number, Sent>();
  /** Bytes [place, place + length) whose code has changed while requests are on their way: pairs. */
  readonly #changes: number[] = [];
  /** Changes that have been let go of. */
  #changesBefore = 0;
  readonly #jumpTargets: (pc: number) => readonly number[];
  /** Indirect jumps whose targets the other end does not know as they are. */
  readonly #newJumps = new Set<number>();
  readonly #jumps = new Set<number>();
  readonly #distrusted: number[] = [];
  readonly #refused: number[] = [];
  /** How many of `distrusted` and `refused` the other end knows. */
  #distrustedSent = 0;
  #refusedSent = 0;
  readonly #traced: number[] = [];
  #registers = new Uint8Array(64 * TRACED_BYTES);
  #next = 1;

  /** `jumpTargets`: where an indirect jump has been seen to go, most frequent first. */
  constructor(
    isa: Isa,
    memory: WebAssembly.Memory,
    guestSize: number,
    interpreter: Interpreter,
    jumpTargets: (pc: number) => readonly number[],
    connection: CompilerConnection,
  ) {
    this.#jumpTargets = jumpTargets;
    this.#isa = isa;
    this.#linear = new Uint8Array(memory.buffer as ArrayBuffer);
    this.#guestSize = guestSize;
    this.#interpreter = interpreter;
    this.#connection = connection;
  }

  /** Whether it is to be asked at all; what is on its way comes in any case. */
  get ready(): boolean {
    return this.#connection.ready;
  }

  /** Whether another request would be looked at soon. */
  get idle(): boolean {
    return this.#sent.size < MOST_PENDING;
  }

  ran(instructions: number, translated: number): void {
    this.#connection.ran(instructions, translated);
  }

  /** Whether replies cannot be expected any more at so many retired instructions. */
  lost(instructions: number): boolean {
    if (this.#connection.lost) return true;
    for (const { at } of this.#sent.values()) return instructions - at > LONGEST_WAIT;
    return false;
  }

  /** What has been asked for and not answered. */
  get pending(): Pending[] {
    return [...this.#sent.values()].map(({ pending }) => pending);
  }

  /** The instruction at pc is about to run. */
  trace(pc: number): void {
    const at = this.#traced.length * TRACED_BYTES;
    if (at === this.#registers.length) {
      const grown = new Uint8Array(2 * at);
      grown.set(this.#registers);
      this.#registers = grown;
    }
    const from = STATE + REGISTERS;
    this.#registers.set(this.#linear.subarray(from, from + TRACED_BYTES), at);
    this.#traced.push(pc);
  }

  /** The indirect jump at pc has gone somewhere. */
  jumped(pc: number): void {
    this.#newJumps.add(pc);
  }

  distrusted(low: number, high: number): void {
    this.#distrusted.push(low, high);
  }

  refused(pc: number): void {
    this.#refused.push(pc);
  }

  changed(place: number, length: number): void {
    if (this.#sent.size > 0 && this.#changes.length <= 2 * MOST_CHANGES) this.#changes.push(place, length);
  }

  ask(pending: Pending, instructions: number, elsewhere: Float64Array<ArrayBuffer>, stored: readonly number[]): void {
    const anew = !this.#connection.remembered;
    const { wishes, choose } = pending;
    const { contiguous } = this.#interpreter.code;
    for (const pc of this.#newJumps) this.#jumps.add(pc);
    const jumps = anew ? this.#jumps : this.#newJumps;
    const number = this.#next++;
    const news = {
      anew,
      mapping: this.#mapping(wishes),
      pages: this.#interpreter.takeTouched(anew).map((page) => this.#page(page)),
      state: this.#linear.slice(STATE, STATE + STATE_SIZE),
      permission: this.#linear.slice(PERMISSION, contiguous ? PERMISSION + this.#guestSize / PAGE_SIZE : PERMISSION),
      trace: this.#takeTrace(),
      jumps: [...jumps].map((pc) => [pc, this.#jumpTargets(pc)] as const),
      distrusted: this.#distrusted.slice(anew ? 0 : this.#distrustedSent),
      refused: this.#refused.slice(anew ? 0 : this.#refusedSent),
    };
    this.#newJumps.clear();
    this.#distrustedSent = this.#distrusted.length;
    this.#refusedSent = this.#refused.length;
    this.#sent.set(number, { pending, at: instructions, changes: this.#changesBefore + this.#changes.length });
    this.#connection.post({ number, wishes, choose, elsewhere, stored, news });
  }

  /** The next answer, if one has come. */
  take(): Answer | undefined {
    const reply = this.#connection.take();
    if (reply === undefined) return undefined;
    const sent = this.#sent.get(reply.number);
    if (sent === undefined) return undefined;
    this.#sent.delete(reply.number);
    const from = sent.changes - this.#changesBefore;
    const changes = this.#changes.slice(from);
    const tooMany = this.#changes.length > 2 * MOST_CHANGES;
    if (this.#sent.size === 0) {
      this.#changesBefore += this.#changes.length;
      this.#changes.length = 0;
    }
    return { pending: sent.pending, reply, outdated: (ranges) => tooMany || touch(changes, ranges) };
  }

  #page(page: number): CodePage {
    const { bytes, contiguous } = this.#interpreter.code;
    const length = contiguous ? PAGE_SIZE + this.#isa.maximumLength : PAGE_SIZE;
    return { page, bytes: bytes.slice(page, page + length), executed: this.#interpreter.decodedIn(page) };
  }

  /** See GuestNews. Of code under several addresses there are the last one, and those that matter to the wishes. */
  #mapping(wishes: readonly Wish[]): Float64Array<ArrayBuffer> {
    const interpreter = this.#interpreter;
    const { code } = interpreter;
    const found: number[] = [];
    if (code.contiguous) return new Float64Array();
    for (const [place, gva] of interpreter.guestPages())
      if (code.placeOf(gva) === place) found.push(gva, place, interpreter.recordsOf(place));
    const near = [...this.#traced, ...wishes.flatMap(({ seed, holding = seed }) => [seed, holding])];
    for (const gva of new Set(near.map((pc) => Math.floor(pc / PAGE_SIZE) * PAGE_SIZE))) {
      const place = code.placeOf(gva);
      const records = place === NOWHERE ? 0 : interpreter.recordsOf(place);
      if (records !== 0) found.push(gva, place, records);
    }
    return Float64Array.from(found);
  }

  #takeTrace() {
    if (this.#traced.length === 0) return undefined;
    const addresses = Float64Array.from(this.#traced);
    const registers = this.#registers.slice(0, this.#traced.length * TRACED_BYTES);
    this.#traced.length = 0;
    return { addresses, registers };
  }
}

function touch(changes: readonly number[], ranges: Ranges): boolean {
  for (let at = 0; at < changes.length; at += 2) {
    const place = changes[at]!;
    const end = place + changes[at + 1]!;
    if (ranges.some(([low, high]) => low < end && place < high)) return true;
  }
  return false;
}
