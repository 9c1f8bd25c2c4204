import { assert } from '../check/assert.ts';
import { Builder } from '../ir/builder.ts';
import { evaluate, type Outcome } from '../ir/evaluate.ts';
import type { HelperContext, Isa, SystemHooks } from '../isa/instruction.ts';
import { STATE, STATE_SIZE } from '../layout/memory-map.ts';
import { ExitReason, FaultKind, StateOffset } from '../layout/state.ts';
import { MmuMemory } from '../memory/evaluator.ts';
import type { Mmu } from '../memory/mmu.ts';
import { Access } from '../memory/regime.ts';

export interface SystemReferenceOptions {
  readonly hooks: SystemHooks;
  /** Ticks of the time base; one for each retired instruction unless given. */
  readonly time?: () => bigint;
}

/**
 * A vCPU behind an MMU that decodes, lifts and evaluates one instruction after the other with the BigInt oracle: what faster tiers are
 * held against. Traps and interrupts are the caller's to deliver.
 */
export class SystemReference {
  readonly state: DataView<ArrayBuffer>;
  readonly counters = { instructions: 0 };
  readonly #isa: Isa;
  readonly #mmu: Mmu;
  readonly #memory: MmuMemory;
  readonly #linear: Uint8Array<ArrayBuffer>;
  readonly #context: HelperContext;
  readonly #bytes = new Uint8Array(4);
  /** The helper of the instruction under way asked to come back after it. */
  #stop = false;
  #running = false;

  constructor(isa: Isa, memory: WebAssembly.Memory, mmu: Mmu, options: SystemReferenceOptions) {
    const buffer = memory.buffer as ArrayBuffer;
    this.#isa = isa;
    this.#mmu = mmu;
    this.#memory = new MmuMemory(mmu);
    this.#linear = new Uint8Array(buffer);
    this.state = new DataView(buffer, STATE, STATE_SIZE);
    this.state.setBigInt64(StateOffset.reservation, -1n, true);
    const retired = () => BigInt(this.counters.instructions);
    this.#context = {
      state: this.state,
      retired,
      time: options.time ?? retired,
      flushCode: () => {},
      system: options.hooks,
    };
  }

  /** Makes `run` come back after the instruction that is under way. */
  requestStop(): void {
    if (this.#running) this.#stop = true;
  }

  /** Instructions retired by now. */
  get retired(): number {
    return this.counters.instructions;
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

  /** As `Vcpu.run`; `ExitReason.helper` after an instruction that has to be looked at (see HelperOutcome). */
  run(budget: number): ExitReason {
    for (let left = budget; left > 0; left--) {
      this.#running = true;
      const reason = this.#step();
      this.#running = false;
      const stopped = this.#stop;
      this.#stop = false;
      if (reason !== undefined) return reason;
      this.counters.instructions++;
      if (stopped) return ExitReason.helper;
    }
    return ExitReason.budget;
  }

  /** Nothing is ever kept of the code. */
  flushCode(_gva: number, _length: number): void {}

  #step(): ExitReason | undefined {
    const { pc } = this;
    const available = this.#fetch(pc);
    const decoded = this.#isa.decode(this.#bytes.subarray(0, available), 0);
    if (decoded === undefined) {
      if (available < this.#bytes.length) {
        return this.#leave(ExitReason.fault, this.#mmu.faultKind, BigInt.asUintN(64, pc + BigInt(available)));
      }
      const word = new DataView(this.#bytes.buffer).getUint32(0, true);
      const bits = (word & 3) === 3 ? word : word & 0xffff;
      return this.#leave(ExitReason.trap, this.#isa.illegalInstruction, BigInt(bits));
    }
    const { row, length, operands } = this.#isa.canonical(decoded);
    const builder = new Builder(this.#isa.name);
    builder.beginInstruction(pc, length);
    row.lift(builder, operands);
    const outcome = evaluate(builder.block, {
      state: this.state,
      memory: this.#memory,
      helper: (name, args) => this.#help(name, args),
    });
    if (outcome.kind === 'trap') return this.#leave(ExitReason.trap, outcome.cause, outcome.value);
    if (outcome.kind === 'fault') return this.#fault(outcome);
    this.pc = outcome.pc;
    return undefined;
  }

  /** Fetches 16 bits at a time, as many as the instruction has; how many bytes came. */
  #fetch(pc: bigint): number {
    for (let at = 0; at < this.#bytes.length; at += 2) {
      const gva = pc + BigInt(at);
      const low = Number(BigInt.asIntN(32, gva));
      const high = Number(BigInt.asIntN(32, gva >> 32n));
      const linear = this.#mmu.translate(low, high, Access.execute, 2);
      if (linear <= 1 && linear >= 0) return at;
      this.#bytes[at] = this.#linear[linear >>> 0]!;
      this.#bytes[at + 1] = this.#linear[(linear >>> 0) + 1]!;
      if (at === 0 && (this.#bytes[0]! & 3) !== 3) {
        this.#bytes.fill(0, 2);
        return this.#bytes.length;
      }
    }
    return this.#bytes.length;
  }

  /** The evaluator knows that an access failed, the MMU why. */
  #fault(outcome: Extract<Outcome, { kind: 'fault' }>): ExitReason {
    const { fault } = outcome;
    if (fault === FaultKind.loadMisaligned || fault === FaultKind.storeMisaligned) {
      return this.#leave(ExitReason.fault, fault, outcome.address);
    }
    const { faultKind, faultLow, faultHigh } = this.#mmu;
    const page = faultKind === FaultKind.loadPage || faultKind === FaultKind.storePage;
    // An atomic reads first, and faults as a store.
    const kind = fault === FaultKind.load ? (page ? FaultKind.loadPage : fault) : page ? FaultKind.storePage : fault;
    return this.#leave(ExitReason.fault, kind, (BigInt(faultHigh >>> 0) << 32n) | BigInt(faultLow >>> 0));
  }

  #help(name: string, args: readonly bigint[]) {
    const helper = this.#isa.helpers[name];
    assert(helper !== undefined, `the ISA has a helper ${name}`);
    const outcome = helper.call(this.#context, args);
    if ('result' in outcome && outcome.stop === true) this.#stop = true;
    return outcome;
  }

  #leave(reason: ExitReason, cause: number, value: bigint): ExitReason {
    this.state.setInt32(StateOffset.cause, cause, true);
    this.state.setBigUint64(StateOffset.value, value, true);
    return reason;
  }
}
