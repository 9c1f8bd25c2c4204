import { Builder } from '../ir/builder.ts';
import { evaluate } from '../ir/evaluate.ts';
import { LinearMemory } from '../ir/evaluator-memory.ts';
import type { HelperContext, Isa } from '../isa/instruction.ts';
import { PERMISSION, Permission, STATE, STATE_SIZE, GUEST } from '../layout/memory-map.ts';
import { ExitReason, FaultKind, StateOffset } from '../layout/state.ts';
import { assert } from '../check/assert.ts';

/**
 * A vCPU that decodes, lifts and evaluates one instruction after the other with the BigInt oracle: thousands of times slower than `Vcpu`,
 * the same interface and the same results.
 */
export class ReferenceCpu {
  readonly state: DataView<ArrayBuffer>;
  readonly counters = { instructions: 0 };
  readonly #isa: Isa;
  readonly #memory: LinearMemory;
  readonly #guestSize: number;
  readonly #bytes: Uint8Array;
  readonly #permission: Uint8Array;
  readonly #context: HelperContext;

  constructor(
    isa: Isa,
    memory: WebAssembly.Memory,
    options: { readonly guestSize: number; readonly time?: () => bigint },
  ) {
    const buffer = memory.buffer as ArrayBuffer;
    this.#isa = isa;
    this.#guestSize = options.guestSize;
    this.#memory = new LinearMemory(buffer, options.guestSize);
    this.#bytes = new Uint8Array(buffer, GUEST, options.guestSize);
    this.#permission = new Uint8Array(buffer, PERMISSION, options.guestSize / 4096);
    this.state = new DataView(buffer, STATE, STATE_SIZE);
    this.state.setBigInt64(StateOffset.reservation, -1n, true);
    const retired = () => BigInt(this.counters.instructions);
    this.#context = { state: this.state, retired, time: options.time ?? retired, flushCode: () => {} };
  }

  get pc(): bigint {
    return this.state.getBigUint64(StateOffset.pc, true);
  }

  set pc(gva: bigint) {
    this.state.setBigUint64(StateOffset.pc, gva, true);
  }

  get cause(): number {
    return this.state.getInt32(StateOffset.cause, true);
  }

  get value(): bigint {
    return this.state.getBigUint64(StateOffset.value, true);
  }

  /** As `Vcpu.run`. */
  run(budget: number): ExitReason {
    for (let left = budget; left > 0; left--) {
      const reason = this.#step();
      if (reason !== undefined) return reason;
      this.counters.instructions++;
    }
    return ExitReason.budget;
  }

  /** Nothing is ever kept of the code. */
  flushCode(_gva: number, _length: number): void {}

  #step(): ExitReason | undefined {
    const { pc } = this;
    const available = this.#fetchable(pc);
    if (available === 0 || pc % BigInt(this.#isa.alignment) !== 0n)
      return this.#leave(ExitReason.fault, FaultKind.fetch, pc);
    const at = Number(pc);
    const bytes = this.#bytes.subarray(at, at + available);
    const decoded = this.#isa.decode(bytes, 0);
    if (!decoded) {
      // Cut off, as far as can be told: the rest of the bytes cannot be fetched.
      if (available < this.#isa.maximumLength && !this.#isShort(bytes))
        return this.#leave(ExitReason.fault, FaultKind.fetch, pc + BigInt(available));
      return this.#leave(ExitReason.trap, this.#isa.illegalInstruction, this.#bitsOf(bytes));
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
    if (outcome.kind === 'fault') return this.#leave(ExitReason.fault, outcome.fault, outcome.address);
    this.pc = outcome.pc;
    return undefined;
  }

  #help(name: string, args: readonly bigint[]) {
    const helper = this.#isa.helpers[name];
    assert(helper, `${this.#isa.name} has a helper ${name}`);
    return helper.call(this.#context, args);
  }

  #leave(reason: ExitReason, cause: number, value: bigint): ExitReason {
    this.state.setInt32(StateOffset.exitReason, reason, true);
    this.state.setInt32(StateOffset.cause, cause, true);
    this.state.setBigUint64(StateOffset.value, BigInt.asUintN(64, value), true);
    return reason;
  }

  /** How many bytes from pc on, up to the longest instruction, may be executed. */
  #fetchable(pc: bigint): number {
    let count = 0;
    while (count < this.#isa.maximumLength && pc + BigInt(count) < BigInt(this.#guestSize)) {
      if ((this.#permission[Number(pc + BigInt(count)) >>> 12]! & Permission.execute) === 0) break;
      count++;
    }
    return count;
  }

  /** Whether the encoding has 16 bits, of RISC-V: its two lowest are not both set. What follows is not part of it. */
  #isShort(bytes: Uint8Array): boolean {
    return this.#isa.alignment === 2 && (bytes[0]! & 3) !== 3;
  }

  /** The bytes of an illegal instruction as a number. */
  #bitsOf(bytes: Uint8Array): bigint {
    const length = this.#isShort(bytes) ? 2 : Math.min(bytes.length, 4);
    return bytes.subarray(0, length).reduceRight((bits, byte) => (bits << 8n) | BigInt(byte), 0n);
  }
}
