/** For tests: the board with one hart of the BigInt reference, slow and obviously right, and the simplest run loop there can be. */
import assert from 'node:assert/strict';
import { AlarmClock } from '../../device/clock.ts';
import type { Finish } from '../../device/test-finisher.ts';
import { Slot, writeCsrSlot } from '../../isa/riscv/csr-storage.ts';
import { riscv64 } from '../../isa/riscv/index.ts';
import { Interrupt, pendingBits, pendingInterrupt, updateSupervisorTimer } from '../../isa/riscv/interrupt.ts';
import { Privilege, PRIVILEGE, X } from '../../isa/riscv/registers.ts';
import { Cause, causeOfFault, deliverInterrupt, deliverTrap } from '../../isa/riscv/trap.ts';
import { GUEST, STATE, STATE_SIZE } from '../../layout/memory-map.ts';
import { ExitReason } from '../../layout/state.ts';
import { Bus } from '../../memory/bus.ts';
import { Mmu } from '../../memory/mmu.ts';
import { governTranslation } from '../riscv-translation.ts';
import { SystemReference } from '../system-reference.ts';
import { hartWires, VirtBoard } from './board.ts';
import type { BootPlan } from './boot.ts';
import { RAM_BASE, TIMEBASE_FREQUENCY } from './map.ts';
import { HartState, SUPERVISOR_DELEGATION, supervisorCall, type SbiMachine } from './sbi.ts';

/** Instructions between two looks at clock and interrupts. */
const SLICE = 64;
/** menvcfg: cache-block instructions for lower modes, and stimecmp. */
const ENVIRONMENT = (1n << 63n) | 0xf0n;

export class ReferenceMachine {
  readonly cpu: SystemReference;
  readonly board: VirtBoard;
  readonly bus: Bus;
  console = '';
  /** How the guest ended itself; undefined while it runs. */
  finish: Finish | undefined = undefined;
  readonly #state: DataView;
  readonly #clock: AlarmClock;
  readonly #hooks: ReturnType<typeof governTranslation>;
  readonly #sbi: SbiMachine | undefined;

  /** `ramSize` in bytes, a multiple of 64 KiB. Time is what has been retired: ten instructions a microsecond. */
  constructor(ramSize: number, plan: BootPlan) {
    const memory = new WebAssembly.Memory({ initial: (GUEST + ramSize) / 65536 });
    const state = new DataView(memory.buffer, STATE, STATE_SIZE);
    this.#state = state;
    this.bus = new Bus(memory);
    this.bus.addRam('RAM', RAM_BASE, ramSize, GUEST);
    const mmu = new Mmu(memory, this.bus);
    this.#clock = new AlarmClock(TIMEBASE_FREQUENCY, () => this.cpu.counters.instructions);
    this.board = new VirtBoard({
      clock: this.#clock,
      epoch: 0n,
      harts: [hartWires(state, () => {})],
      rom: plan.rom,
      output: (byte) => (this.console += String.fromCharCode(byte)),
      finish: (finish) => (this.finish = finish),
    });
    this.board.attach(this.bus);
    const ram = new Uint8Array(memory.buffer, GUEST, ramSize);
    for (const { address, bytes } of plan.pieces) ram.set(bytes, address - RAM_BASE);
    const register = (index: number, value: number): void =>
      state.setBigUint64(X.offset + X.stride * index, BigInt(value), true);
    register(11, plan.handover?.a1 ?? plan.deviceTree);
    register(12, plan.handover?.a2 ?? 0);
    if (plan.mode === 'supervisor') {
      state.setUint32(PRIVILEGE.offset, Privilege.supervisor, true);
      for (const [name, value] of Object.entries(SUPERVISOR_DELEGATION)) {
        writeCsrSlot(state, Slot[name as keyof typeof SUPERVISOR_DELEGATION], value);
      }
      writeCsrSlot(state, Slot.menvcfg, ENVIRONMENT);
      writeCsrSlot(state, Slot.stimecmp, (1n << 64n) - 1n);
      // One entry of protection that allows everything.
      writeCsrSlot(state, Slot.pmpConfiguration, 0x1fn);
      writeCsrSlot(state, Slot.pmpAddress, (1n << 54n) - 1n);
    } else state.setUint32(PRIVILEGE.offset, Privilege.machine, true);
    this.#hooks = governTranslation(state, mmu);
    this.cpu = new SystemReference(riscv64, memory, mmu, {
      hooks: this.#hooks,
      time: () => this.board.clint.timer.time,
    });
    this.cpu.pc = BigInt(plan.handover?.pc ?? plan.entry);
    this.#sbi = plan.mode === 'supervisor' ? this.#environment() : undefined;
  }

  /** Runs until the guest ends itself, `until` is true or so many instructions have been retired. */
  run(maximum: number, until: () => boolean = () => false): void {
    while (this.finish === undefined && this.cpu.counters.instructions < maximum && !until()) {
      this.#clock.poll();
      updateSupervisorTimer(this.#state, this.board.clint.timer.time);
      const interrupt = pendingInterrupt(this.#state);
      if (interrupt !== undefined) {
        deliverInterrupt(this.#state, interrupt);
        this.#hooks.translationChanged();
      }
      const reason = this.cpu.run(SLICE);
      if (reason === ExitReason.trap || reason === ExitReason.fault) this.#trap(reason);
    }
  }

  #trap(reason: ExitReason): void {
    const cause = reason === ExitReason.trap ? this.cpu.cause : causeOfFault(this.cpu.cause);
    const supervisor = this.#state.getUint32(PRIVILEGE.offset, true) === Privilege.supervisor;
    if (this.#sbi !== undefined && supervisor && cause === Cause.environmentCallFromUser) {
      supervisorCall(this.#sbi, 0, this.#state);
      return;
    }
    deliverTrap(this.#state, cause, this.cpu.value);
    this.#hooks.translationChanged();
  }

  #environment(): SbiMachine {
    const state = this.#state;
    const never = (): never => assert.fail('there is one hart');
    return {
      harts: 1,
      memory: this.bus,
      consoleWrite: (bytes) => (this.console += String.fromCharCode(...bytes)),
      consoleRead: () => 0,
      setTimer: (_, deadline) => writeCsrSlot(state, Slot.stimecmp, deadline),
      raiseSoftwareInterrupt: () => {
        writeCsrSlot(state, Slot.mip, BigInt(pendingBits(state) | (1 << Interrupt.supervisorSoftware)));
      },
      clearSoftwareInterrupt: () => false,
      fence: (_, fence) => {
        if (fence.kind === 'translations') this.#hooks.fence(undefined, undefined);
      },
      hartState: () => HartState.started,
      startHart: never,
      stopHart: never,
      suspendHart: () => {},
      systemReset: (reset) => (this.finish = { kind: reset === 'shutdown' ? 'pass' : 'reset' }),
      readVirtual: () => undefined,
    };
  }
}
