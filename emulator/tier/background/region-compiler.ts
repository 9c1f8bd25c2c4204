import type { Isa } from '../../isa/instruction.ts';
import { GUEST, PAGE_CACHES_COUNT, PAGE_SIZE, PERMISSION, STATE, STATE_SIZE } from '../../layout/memory-map.ts';
import { REGISTERS } from '../../layout/state.ts';
import { type CodeSource, FlatCode } from '../code-space.ts';
import { Hotspots } from '../hotspots.ts';
import { AddressMarks } from '../region/address-marks.ts';
import { AddressSampler } from '../region/address-sampler.ts';
import { CodeStore } from '../region/code-store.ts';
import { chooseEntry } from '../region/entry.ts';
import type { RegionNode } from '../region/node.ts';
import { Translator, type TranslationCounters } from '../region/translator.ts';
import { CopiedCode } from './copied-code.ts';
import {
  TRACED_REGISTERS,
  type CodePage,
  type CompileOutcome,
  type CompileReply,
  type CompileRequest,
  type CompilerSubject,
  type Trace,
} from './message.ts';

const WASM_PAGE = 65536;
const TRACED_BYTES = 8 * TRACED_REGISTERS;

/**
 * Makes regions for a guest that runs elsewhere, from a copy of what translation looks at: the pages with executed code, the state and the
 * permissions, in a memory laid out like the guest's own. The host backs only what is written to.
 */
export class RegionCompiler {
  readonly #isa: Isa;
  readonly #subject: CompilerSubject;
  readonly #now: (() => number) | undefined;
  readonly #memory: WebAssembly.Memory;
  readonly #linear: Uint8Array<ArrayBuffer>;
  readonly #code: CodeSource;
  /** The same, where addresses are translated. */
  readonly #copied: CopiedCode | undefined;
  /** A byte for every place that an instruction may begin at, by page. */
  readonly #executed = new Map<number, Uint8Array>();
  readonly #jumps = new Map<number, readonly number[]>();
  /** Of traces only: where jumps went. */
  #hotspots = new Hotspots();
  #addresses: AddressSampler;
  #translator: Translator;

  /** `now` in milliseconds, for the times in replies. Throws RangeError when the host has no room for the copy. */
  constructor(isa: Isa, subject: CompilerSubject, now?: () => number) {
    const pages = (GUEST + subject.guestSize) / WASM_PAGE;
    this.#isa = isa;
    this.#subject = subject;
    this.#now = now;
    this.#memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    this.#linear = new Uint8Array(this.#memory.buffer as ArrayBuffer);
    const { buffer } = this.#linear;
    this.#copied = subject.translated ? new CopiedCode(this.#linear) : undefined;
    this.#code = this.#copied ?? new FlatCode(buffer, subject.guestSize, isa.alignment);
    this.#addresses = this.#newSampler();
    this.#translator = this.#newTranslator();
  }

  handle(request: CompileRequest): CompileReply {
    this.#learn(request);
    const outcome = this.#make(request);
    const { counters } = this.#translator;
    const passCounters = this.#translator.takePassCounters();
    const reply = { number: request.number, outcome, counters: { ...counters }, passCounters };
    for (const name of Object.keys(counters)) counters[name as keyof TranslationCounters] = 0;
    return reply;
  }

  #make({ wishes, choose, elsewhere, stored }: CompileRequest): CompileOutcome {
    const others = new AddressMarks(elsewhere);
    for (const [wish, { seed, holding }] of wishes.entries()) {
      const entry = choose ? this.#entryAround(seed, others) : seed;
      if (entry === undefined) continue;
      if (stored.includes(entry)) return { kind: 'stored', seed: entry };
      if (holding !== undefined && !this.#shape(entry, others).some(({ pc }) => pc === holding)) continue;
      const nodes = this.#translator.nodesOf(this.#translator.discovery(entry, others));
      if (nodes.length === 0) continue;
      const placed = this.#translator.translate(nodes);
      const begin = this.#now?.() ?? 0;
      const module = new WebAssembly.Module(placed.code.bytes);
      if (this.#now !== undefined) this.#translator.counters.compileMilliseconds += this.#now() - begin;
      const source = this.#translator.sourceOf(placed.sites);
      return { kind: 'compiled', wish, placed, source, module };
    }
    return { kind: 'nothing' };
  }

  #shape(seed: number, others: AddressMarks): RegionNode[] {
    return this.#translator.shapeOf(this.#translator.discovery(seed, others));
  }

  #entryAround(seed: number, others: AddressMarks): number | undefined {
    const nodes = this.#shape(seed, others);
    return nodes.length === 0 ? undefined : chooseEntry(nodes);
  }

  #learn({ news }: CompileRequest): void {
    if (news.anew) this.#forgetAll();
    for (const page of news.pages) this.#takePage(page);
    this.#copied?.map(news.mapping);
    this.#linear.set(news.permission, PERMISSION);
    this.#addresses.forget();
    if (news.trace !== undefined) this.#follow(news.trace);
    this.#linear.set(news.state.subarray(0, STATE_SIZE), STATE);
    for (const [pc, targets] of news.jumps) this.#jumps.set(pc, targets);
    for (let at = 0; at < news.distrusted.length; at += 2)
      this.#addresses.distrust(news.distrusted[at]!, news.distrusted[at + 1]!);
    for (const pc of news.refused) this.#translator.refuse(pc);
  }

  #takePage({ page, bytes, executed }: CodePage): void {
    const isKnown = this.#executed.has(page) || this.#executed.has(page - PAGE_SIZE);
    if (isKnown && !equal(this.#code.bytes, page, bytes)) this.#translator.forgetCode(page, PAGE_SIZE);
    this.#code.bytes.set(bytes, page);
    const marks = new Uint8Array(PAGE_SIZE);
    for (const offset of executed) marks[offset] = 1;
    this.#executed.set(page, marks);
  }

  /** Notes where instructions accessed memory and where indirect jumps went. */
  #follow({ addresses, registers }: Trace): void {
    for (let step = 0; step < addresses.length; step++) {
      const pc = addresses[step]!;
      const decoded = this.#translator.decode(pc);
      if (decoded === undefined) continue;
      this.#linear.set(registers.subarray(step * TRACED_BYTES, (step + 1) * TRACED_BYTES), STATE + REGISTERS);
      this.#addresses.note(pc, decoded);
      const next = addresses[step + 1];
      if (next !== undefined) this.#addresses.stepped(pc, next);
      if (next !== undefined && next !== pc + decoded.length) this.#hotspots.jumped(pc, next);
    }
  }

  /** Another guest, or one that is no longer what it was. */
  #forgetAll(): void {
    this.#executed.clear();
    this.#jumps.clear();
    this.#hotspots = new Hotspots();
    this.#addresses = this.#newSampler();
    this.#translator = this.#newTranslator();
  }

  #newSampler(): AddressSampler {
    const { guestSize, translated } = this.#subject;
    return new AddressSampler(this.#isa, this.#linear.buffer, guestSize, translated);
  }

  #newTranslator(): Translator {
    const { guestSize, translated, policy, disabledPasses } = this.#subject;
    const code = this.#code;
    // What is made is kept where it runs.
    return new Translator(this.#isa, this.#memory, this.#addresses, new CodeStore(0), {
      guestSize,
      translated,
      code,
      recordsOf: (place) => this.#copied?.recordsOf(place) ?? runsElsewhere(),
      admitPage: runsElsewhere,
      // Regions hold calls of helpers only where there is something to call.
      ...(translated ? { helper: runsElsewhere } : {}),
      // The first are those of what the guest has translated for itself.
      firstPageCache: PAGE_CACHES_COUNT / 4,
      limits: policy.limits,
      passes: policy.passes,
      guardGain: policy.guardGain,
      disabledPasses: new Set(disabledPasses),
      isExecuted: (place) => this.#executed.get(place - (place % PAGE_SIZE))?.[place % PAGE_SIZE] === 1,
      jumpTargets: (pc) => [...new Set([...(this.#jumps.get(pc) ?? []), ...this.#hotspots.jumpTargets(pc)])],
      withheld: runsElsewhere,
      floatCalled: runsElsewhere,
      ...(this.#now ? { now: this.#now } : {}),
    });
  }
}

function runsElsewhere(): never {
  throw new TypeError('nothing is run where it is compiled');
}

function equal(linear: Uint8Array, begin: number, bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at++) if (linear[begin + at] !== bytes[at]) return false;
  return true;
}
