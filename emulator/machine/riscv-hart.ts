import type { SystemHooks } from '../isa/instruction.ts';
import { pendingInterrupt, supervisorTimerDeadline, updateSupervisorTimer, wakes } from '../isa/riscv/interrupt.ts';
import { Privilege, PRIVILEGE, WAITING } from '../isa/riscv/registers.ts';
import { Cause, causeOfFault, deliverInterrupt, deliverTrap } from '../isa/riscv/trap.ts';
import { ExitReason } from '../layout/state.ts';

/** What executes instructions: the interface that the tiers have in common. */
export interface Engine {
  readonly state: DataView;
  readonly counters: { readonly instructions: number };
  readonly cause: number;
  readonly value: bigint;
  run(budget: number, most?: number): ExitReason;
}

/** Traps and interrupts taken, by cause. */
export interface HartCounters {
  readonly exceptions: Map<number, number>;
  readonly interrupts: Map<number, number>;
}

/**
 * One RISC-V hart: an engine, and around it what happens between instructions. Traps are taken, interrupts are taken when they are pending
 * and enabled, the supervisor timer is compared, and waiting (WFI) comes back to the machine, which knows when something will happen.
 */
export class RiscvHart {
  readonly counters: HartCounters = { exceptions: new Map(), interrupts: new Map() };
  readonly #engine: Engine;
  readonly #hooks: SystemHooks;
  readonly #time: () => bigint;
  readonly #supervisorCall: (() => boolean) | undefined;

  /**
   * `time`: the time CSR, which stimecmp is compared with. `supervisorCall`: makes the call of an ECALL in supervisor mode, pc included, where
   * there is no machine mode to trap to; false when `run` is to come back at once.
   */
  constructor(engine: Engine, hooks: SystemHooks, time: () => bigint, supervisorCall?: () => boolean) {
    this.#engine = engine;
    this.#hooks = hooks;
    this.#time = time;
    this.#supervisorCall = supervisorCall;
  }

  get instructions(): number {
    return this.#engine.counters.instructions;
  }

  /** Whether WFI is waiting: `run` then returns at once until an interrupt is pending. */
  get waiting(): boolean {
    return this.#engine.state.getInt32(WAITING.offset, true) !== 0;
  }

  /** The tick at which stimecmp will make an interrupt pending; Infinity when it will not, and 0 when a hart that waits has one already. */
  get deadline(): number {
    const { state } = this.#engine;
    const time = this.#time();
    // It may have come due since the hart began to wait: then nothing else would wake it.
    updateSupervisorTimer(state, time);
    if (this.waiting && wakes(state)) return 0;
    const deadline = supervisorTimerDeadline(state);
    return deadline === undefined || deadline <= time ? Infinity : Number(deadline);
  }

  /**
   * Runs until `budget` instructions have retired, or the hart waits, or something the machine may want to look at has happened (a register
   * was written that others depend on). An exception costs none of the budget, and still the call ends: a guest whose handler traps gets
   * no more than MAX_TRAPS of them. `most`: see Vcpu.run.
   */
  run(budget: number, most = budget): void {
    const engine = this.#engine;
    const { state } = engine;
    const end = engine.counters.instructions + budget;
    const limit = engine.counters.instructions + most;
    for (let traps = 0; traps < MAX_TRAPS && engine.counters.instructions < end;) {
      updateSupervisorTimer(state, this.#time());
      if (this.waiting) {
        if (!wakes(state)) return;
        state.setInt32(WAITING.offset, 0, true);
      }
      const interrupt = pendingInterrupt(state);
      if (interrupt !== undefined) {
        deliverInterrupt(state, interrupt);
        count(this.counters.interrupts, interrupt);
        this.#hooks.translationChanged();
      }
      const reason = engine.run(end - engine.counters.instructions, limit - engine.counters.instructions);
      switch (reason) {
        case ExitReason.trap:
          traps++;
          if (this.#callsEnvironment()) {
            count(this.counters.exceptions, Cause.environmentCallFromSupervisor);
            if (!this.#supervisorCall!()) return;
          } else this.#trap(engine.cause, engine.value);
          break;
        case ExitReason.fault:
          this.#trap(causeOfFault(engine.cause), engine.value);
          traps++;
          break;
        default:
          if (reason === ExitReason.helper) return;
      }
    }
  }

  #callsEnvironment(): boolean {
    const { state, cause } = this.#engine;
    return (
      this.#supervisorCall !== undefined &&
      cause === Cause.environmentCallFromUser &&
      state.getUint32(PRIVILEGE.offset, true) === Privilege.supervisor
    );
  }

  #trap(cause: number, value: bigint): void {
    deliverTrap(this.#engine.state, cause, value);
    count(this.counters.exceptions, cause);
    this.#hooks.translationChanged();
  }
}

/** Exceptions in one call of `run`: after so many the machine gets to look at its clock. */
const MAX_TRAPS = 1000;

function count(counts: Map<number, number>, cause: number): void {
  counts.set(cause, (counts.get(cause) ?? 0) + 1);
}
