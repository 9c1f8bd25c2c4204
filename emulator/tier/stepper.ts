import { ExitReason } from '../layout/state.ts';
import type { Hotspots } from './hotspots.ts';
import type { Interpreter } from './interpreter/interpreter.ts';
import { readPc } from './program-counter.ts';
import type { AddressSampler } from './region/address-sampler.ts';
import type { RegionNode } from './region/node.ts';
import type { RegionTable } from './region/region-table.ts';
import type { Translator } from './region/translator.ts';

/** What a stepper runs, and where it leaves what it sees. */
interface StepperParts {
  readonly state: DataView;
  readonly interpreter: Interpreter;
  readonly translator: Translator;
  readonly addresses: AddressSampler;
  readonly hotspots: Hotspots;
  readonly regions: RegionTable;
}

/** Runs the guest instruction by instruction to see what a translation should know. `end`: instructions retired when it must stop. */
export class Stepper {
  readonly #parts: StepperParts;

  constructor(parts: StepperParts) {
    this.#parts = parts;
  }

  /**
   * Runs `steps` instructions and gives the address that backward jumps and calls reached most often. Where control comes out of the code before there has been
   * any, as it does for system calls, that is where it began.
   */
  trace(steps: number, end: number): number | undefined {
    const { state, interpreter, translator, addresses, hotspots, regions } = this.#parts;
    const seen = new Map<number, number>();
    const begin = readPc(state);
    let best: number | undefined;
    let most = 0;
    for (let step = 0; step < steps && interpreter.counters.instructions < end; step++) {
      const from = readPc(state);
      if (regions.entryAt(from) !== undefined) return best;
      const decoded = translator.decode(from);
      if (decoded === undefined) return best;
      addresses.note(from, decoded);
      // What traps or faults is not done yet, and comes out of the next run.
      if (interpreter.run(1) !== ExitReason.budget) return best ?? begin;
      const to = readPc(state);
      addresses.stepped(from, to);
      if (to === from + decoded.length) continue;
      hotspots.jumped(from, to);
      if (to > from) continue;
      const times = (seen.get(to) ?? 0) + 1;
      seen.set(to, times);
      if (times > most) {
        most = times;
        best = to;
      }
    }
    return best;
  }

  /** Runs at most `steps` instructions to see where those of the nodes access memory. */
  observe(nodes: readonly RegionNode[], steps: number, end: number): void {
    const { state, interpreter, translator, addresses } = this.#parts;
    const wanted = new Set<number>();
    for (const { block } of nodes) {
      let pc = 0;
      for (const op of block.ops) {
        if (op.name === 'insn') pc = Number(op.pc);
        else if ((op.name === 'load' || op.name === 'store') && addresses.observed(pc) === undefined) wanted.add(pc);
      }
    }
    for (let step = 0; step < steps && wanted.size > 0; step++) {
      if (interpreter.counters.instructions >= end) return;
      const pc = readPc(state);
      const decoded = translator.decode(pc);
      if (decoded === undefined) return;
      if (wanted.delete(pc)) addresses.note(pc, decoded);
      if (interpreter.runPastEntries(1) !== ExitReason.budget) return;
      addresses.stepped(pc, readPc(state));
    }
  }
}
