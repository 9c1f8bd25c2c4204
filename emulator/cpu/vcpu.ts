import type { Isa } from '../isa/instruction.ts';
import type { RegisterFile } from '../ir/type.ts';
import { STATE, STATE_SIZE } from '../layout/memory-map.ts';
import { ExitReason, StateOffset } from '../layout/state.ts';
import {
  Interpreter,
  type InterpreterCounters,
  type InterpreterOptions,
  type TranslationOptions,
} from '../tier/interpreter/interpreter.ts';
import type { TieredOptions } from '../tier/engine-options.ts';
import { TieredEngine } from '../tier/tiered.ts';

export interface VcpuOptions {
  /** Bytes of guest address space from guest address 0, behind an MMU of guest RAM: a multiple of 64 KiB. */
  readonly guestSize: number;
  /** Guest memory is behind an MMU, which this vCPU then governs by its hooks; flat unless given. */
  readonly translation?: TranslationOptions;
  /** Nanoseconds of guest time, for instructions that read a timer; one for each retired instruction unless given. */
  readonly time?: () => bigint;
  /** Runs hot code as regions, by this policy; the interpreter alone unless given. */
  readonly tiers?: Omit<TieredOptions, keyof InterpreterOptions>;
}

/** What a vCPU has done since it was made; all exact. */
export type VcpuCounters = InterpreterCounters;

/**
 * One virtual CPU over a linear memory laid out as layout/memory-map.ts says. Guest registers, pc and permissions live in that memory;
 * this object only decodes, runs and counts. Making a second one for the same ISA and size shares the compiled code.
 */
export class Vcpu {
  readonly isa: Isa;
  readonly memory: WebAssembly.Memory;
  /** The vCPU state: StateOffset and register offsets index it. */
  readonly state: DataView<ArrayBuffer>;
  readonly counters: VcpuCounters;
  readonly #engine: Interpreter | TieredEngine;

  constructor(isa: Isa, memory: WebAssembly.Memory, options: VcpuOptions) {
    this.isa = isa;
    this.memory = memory;
    this.state = new DataView(memory.buffer as ArrayBuffer, STATE, STATE_SIZE);
    this.#engine =
      options.tiers === undefined
        ? new Interpreter(isa, memory, options)
        : new TieredEngine(isa, memory, { ...options, ...options.tiers });
    this.counters = this.#engine.counters;
    this.state.setBigInt64(StateOffset.reservation, -1n, true);
  }

  /** The address of the next instruction; after a trap or fault, of the instruction that caused it. */
  get pc(): bigint {
    return this.state.getBigUint64(StateOffset.pc, true);
  }

  set pc(gva: bigint) {
    this.state.setBigUint64(StateOffset.pc, gva, true);
  }

  /** After `ExitReason.trap` the ISA's cause number, after `fault` a FaultKind. */
  get cause(): number {
    return this.state.getInt32(StateOffset.cause, true);
  }

  /** The trap's value, or the guest address that faulted. */
  get value(): bigint {
    return this.state.getBigUint64(StateOffset.value, true);
  }

  /** The 64 low bits of a register, zero-extended when the file is narrower. */
  getRegister(file: RegisterFile, index: number): bigint {
    const offset = file.offset + file.stride * index;
    return file.type.endsWith('32')
      ? BigInt(this.state.getUint32(offset, true))
      : this.state.getBigUint64(offset, true);
  }

  setRegister(file: RegisterFile, index: number, value: bigint): void {
    const offset = file.offset + file.stride * index;
    if (file.type.endsWith('32')) this.state.setUint32(offset, Number(BigInt.asUintN(32, value)), true);
    else this.state.setBigUint64(offset, BigInt.asUintN(64, value), true);
  }

  /**
   * Runs until `budget` instructions (an integer from 0 to 2^53) have retired or something needs the outside: never `miss`.
   * A trapping or faulting instruction does not retire. Any way to split a budget over calls gives the same end state. Behind an MMU it is
   * `ExitReason.helper` after an instruction that has to be looked at (see HelperOutcome), and after `requestStop`.
   *
   * With `most`, up to so many may retire: what is left of a budget is seldom enough for translated code, and interpreting it takes longer than going on.
   */
  run(budget: number, most = budget): ExitReason {
    const engine = this.#engine;
    const reason = (engine instanceof TieredEngine ? engine.run(budget, most) : engine.run(budget)) as ExitReason;
    if (reason === ExitReason.helper) engine.takeStop();
    return reason;
  }

  /** Instructions retired by now; asked from inside `run`, as exact as the code that is under way knows. */
  get retired(): number {
    return this.#engine.retired;
  }

  /** Makes `run` come back as soon as it can: from inside it, after the present instruction or block. */
  requestStop(): void {
    this.#engine.requestStop();
  }

  /** Drops what was decoded from guest addresses [gva, gva + length): call after writing guest code from outside, and after changing permissions. */
  flushCode(gva: number, length: number): void {
    this.#engine.flushCode(gva, length);
  }

  /** The engine that translates, if this vCPU has one. */
  get tiers(): TieredEngine | undefined {
    return this.#engine instanceof TieredEngine ? this.#engine : undefined;
  }

  checkInvariants(): void {
    this.#engine.checkInvariants();
  }
}
