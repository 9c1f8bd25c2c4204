import { ExitReason } from '../../layout/state.ts';
import type { Arrival, Hotspots } from '../hotspots.ts';
import type { Interpreter } from '../interpreter/interpreter.ts';
import type { TierPolicy } from '../policy.ts';
import type { CodeStore } from '../region/code-store.ts';
import type { PlacedRegion, Region } from '../region/region.ts';
import type { RegionTable } from '../region/region-table.ts';
import type { Translator } from '../region/translator.ts';
import type { TranslationReason } from '../engine-options.ts';
import { readPc } from '../program-counter.ts';
import type { Answer, CompilerClient, Pending } from './client.ts';

/** The parts of an engine that background translation works with. */
export interface EngineParts {
  readonly policy: TierPolicy;
  readonly state: DataView<ArrayBuffer>;
  readonly interpreter: Interpreter;
  readonly hotspots: Hotspots;
  readonly regions: RegionTable;
  readonly store: CodeStore;
  readonly translator: Translator;
  readonly add: (
    reason: TranslationReason,
    placed: PlacedRegion,
    made: { readonly generation: number; readonly reused: boolean; readonly module?: WebAssembly.Module },
  ) => Region;
}

/**
 * Translation beside the guest: what the engine finds hot is asked for and, when it comes, installed between two slices of the guest, if
 * what it was made for still holds. Until then whatever ran there goes on. The guest cannot tell it from translation that it waits for.
 */
export class BackgroundTranslation {
  readonly client: CompilerClient;
  readonly #engine: EngineParts;

  constructor(client: CompilerClient, engine: EngineParts) {
    this.client = client;
    this.#engine = engine;
  }

  /** Otherwise the engine translates as if there were nobody else. */
  get ready(): boolean {
    return this.client.ready;
  }

  /**
   * The interpreter has been seen at pc so many times. When that is worth a region, lets the instructions from here on be seen one by one,
   * up to `end` retired ones, and asks for the region around the address that backward jumps reached most often.
   */
  sampled(pc: number, samples: number, end: number): void {
    const { policy, hotspots, interpreter, regions, state } = this.#engine;
    if (samples === 0 || samples * policy.sampleInterval < policy.backgroundCost || !this.client.idle) return;
    // Nothing is left to be seen.
    if (interpreter.counters.instructions >= end) return;
    hotspots.wait(pc, 2 * samples);
    const seen = new Map<number, number>();
    let seed: number | undefined;
    // Behind address translation, where accesses go is looked up when they do.
    const longest = policy.traceLength + (interpreter.code.contiguous ? policy.observedSteps : 0);
    for (let step = 0; step < longest && interpreter.counters.instructions < end; step++) {
      const from = readPc(state);
      if (regions.entryAt(from) !== undefined) break;
      this.client.trace(from);
      // What traps or faults is not done yet, and comes out of the next run.
      if (interpreter.run(1) !== ExitReason.budget) break;
      const to = readPc(state);
      if (to > from) continue;
      const times = (seen.get(to) ?? 0) + 1;
      seen.set(to, times);
      if (seed === undefined || times > seen.get(seed)!) seed = to;
    }
    if (seed !== undefined)
      this.#ask({ reason: 'sampled', wishes: [{ seed }], choose: true, regions: [], refusal: false });
  }

  /** Control has left a region for an address, which by now counts as much as `spent` interpreted instructions. */
  arrived(arrival: Arrival, spent: number, region: Region): void {
    const { policy } = this.#engine;
    if (spent < policy.backgroundCost || !this.client.idle) return;
    arrival.awaited = 2 * arrival.times;
    this.#ask({ reason: 'arrivals', wishes: [{ seed: arrival.pc }], choose: true, regions: [region], refusal: false });
  }

  /** Asks for a region again, for what is known by now; `refusal`: it gave instructions back. */
  renew(region: Region, refusal: boolean): void {
    if (region.renewing) return;
    region.renewing = true;
    this.#ask({ reason: 'renewed', wishes: [{ seed: region.seed }], choose: false, regions: [region], refusal });
  }

  /** Asks for whichever of two regions leads to the other with that in it. */
  merge(region: Region, parent: Region): void {
    const { generations } = this.#engine.policy;
    // A callee leads to its caller only by a return, so it is the caller that can take it in.
    const pairs = [
      [region, parent],
      [parent, region],
    ] as const;
    const able = pairs.filter(([outer]) => !outer.renewing && outer.generation < generations);
    if (able.length === 0) return;
    for (const [outer] of able) outer.renewing = true;
    const wishes = able.map(([outer, inner]) => ({ seed: outer.seed, holding: inner.seed }));
    this.#ask({ reason: 'renewed', wishes, choose: false, regions: able.map(([outer]) => outer), refusal: false });
  }

  /** Installs what has been compiled. `lost`: nothing will come any more, so the guest has to wait for its translations from now on. */
  take(): 'lost' | undefined {
    const { client } = this;
    for (let answer = client.take(); answer !== undefined; answer = client.take()) this.#settle(answer);
    const { interpreter, translator } = this.#engine;
    const { instructions } = interpreter.counters;
    if (!client.ready) client.ran(instructions, translator.counters.guestInstructions);
    if (!client.lost(instructions)) return undefined;
    for (const { reason, regions } of client.pending)
      if (reason === 'renewed') for (const region of regions) region.renewing = false;
    return 'lost';
  }

  #ask(pending: Pending, useStored = true): void {
    const { regions, store, interpreter } = this.#engine;
    const elsewhere = Float64Array.from(pending.reason === 'arrivals' ? regions.entryAddresses : []);
    const stored = pending.reason === 'renewed' || !useStored ? [] : [...store.seeds()];
    this.client.ask(pending, interpreter.counters.instructions, elsewhere, stored);
  }

  #settle({ pending, reply, outdated }: Answer): void {
    const { regions: table, translator, add } = this.#engine;
    const { outcome } = reply;
    const { reason, regions, wishes, refusal } = pending;
    translator.count(reply.counters, reply.passCounters);
    if (reason === 'renewed') for (const region of regions) region.renewing = false;
    if (outcome.kind === 'nothing') return;
    if (outcome.kind === 'stored') {
      const stored = translator.stored(outcome.seed);
      if (stored === undefined) this.#ask(pending, false);
      else add(reason, stored, { generation: 0, reused: true });
      return;
    }
    const { placed, source, module, wish } = outcome;
    const { code, sites } = placed;
    const replaced = reason === 'renewed' ? regions[wish] : undefined;
    const isThere = replaced === undefined && table.entryAt(code.seed)?.region.holds(wishes[wish]!.seed) === true;
    if (isThere || replaced?.live === false || outdated(sites.ranges) || !translator.adopt(placed, source)) {
      translator.counters.outdated++;
      return;
    }
    if (replaced !== undefined) table.remove(replaced);
    const generation = replaced === undefined ? 0 : replaced.generation + (refusal ? 0 : 1);
    const region = add(reason, placed, { generation, reused: false, module });
    if (replaced !== undefined) region.distrusts = replaced.distrusts + (refusal ? 1 : 0);
    else if (regions[0]?.live === true) region.parent = regions[0];
  }
}
