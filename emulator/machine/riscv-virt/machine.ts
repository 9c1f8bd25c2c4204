/** The whole board: RAM, MMU, hart, devices, and the loop that runs them until the guest ends, a limit is reached or nothing can happen any more. */
import { ConfigError } from '../../check/errors.ts';
import { AlarmClock } from '../../device/clock.ts';
import type { Finish } from '../../device/test-finisher.ts';
import type { VirtioConsole } from '../../device/virtio/console.ts';
import type { RgbImage } from '../../device/virtio/image/png.ts';
import type { SystemHooks } from '../../isa/instruction.ts';
import { readCsrSlot, Slot, writeCsrSlot } from '../../isa/riscv/csr-storage.ts';
import { riscv64 } from '../../isa/riscv/index.ts';
import { CSR_STORAGE, Privilege, PRIVILEGE, X } from '../../isa/riscv/registers.ts';
import { GUEST, RECORDS_SIZE, STATE, STATE_SIZE } from '../../layout/memory-map.ts';
import { REGISTERS, StateOffset } from '../../layout/state.ts';
import { Bus } from '../../memory/bus.ts';
import { Mmu } from '../../memory/mmu.ts';
import type { Vcpu } from '../../cpu/vcpu.ts';
import type { BackgroundCompiler } from '../background-compiler.ts';
import type { CodeCache } from '../code-cache.ts';
import { backgroundCompiler, type Compilation } from '../compilation.ts';
import { type InstructionTrace, translatedFetch } from '../instruction-trace.ts';
import { RiscvHart } from '../riscv-hart.ts';
import { governTranslation } from '../riscv-translation.ts';
import { DETERMINISTIC_EPOCH, hostMilliseconds, hostRandom, seededRandom } from '../surroundings.ts';
import type { SystemReference } from '../system-reference.ts';
import { codeBytesOf, createTranslatedCpu, translatedPolicyOf, translationOf, type Tier } from '../tier.ts';
import type { TranslationLog } from '../translation-log.ts';
import { Attachments, type AttachmentOptions } from './attachments.ts';
import { hartWires, VirtBoard } from './board.ts';
import { planBoot, type BootFiles, type BootPlan } from './boot.ts';
import type { BoardDescription } from './device-tree.ts';
import { enterSupervisor, supervisorEnvironment } from './environment.ts';
import { openCache } from './code-cache.ts';
import { Expansion } from './expansion.ts';
import { RAM_BASE, TIMEBASE_FREQUENCY } from './map.ts';
import { supervisorCall } from './sbi.ts';

export interface VirtOptions extends BootFiles, AttachmentOptions {
  /** Bytes; 256 MiB unless given. */
  readonly memorySize?: number;
  /** Where virtio devices are; behind PCI unless given. */
  readonly transport?: 'pci' | 'mmio';
  /** `auto` unless given. */
  readonly tier?: Tier;
  /** The widest address translation the device tree tells of; Sv57 unless given. */
  readonly mmu?: BoardDescription['mmu'];
  /** Time is the count of retired instructions, INSTRUCTIONS_PER_TICK a tick; random bytes are seeded; waiting costs no time. */
  readonly deterministic?: boolean;
  /** What the guest prints; the bytes are only lent. */
  readonly output?: (bytes: Uint8Array) => void;
  /** A disk's file failed. */
  readonly report?: (error: unknown) => void;
  /** Whether the guest waits for translations (as unless given, and when deterministic), or a thread makes them beside it. */
  readonly compilation?: Compilation;
  /** Where emitted code is kept for the next machine with the same firmware and kernel; see CodeCache. */
  readonly cacheDirectory?: string;
  /** Takes note of every translation: TranslationLog. */
  readonly log?: TranslationLog;
  /** Takes note of every instruction, which is then run alone: for the interpreter or the reference. */
  readonly trace?: InstructionTrace;
}

export interface RunLimits {
  readonly maximumInstructions?: number;
  /** Seconds. */
  readonly timeout?: number;
  /** Nothing more will be typed: a guest that waits for nothing else has ended. */
  readonly inputEnded?: () => boolean;
  /** The user wants to leave. */
  readonly stopped?: () => boolean;
}

export type MachineOutcome =
  /** The guest powered off: `code` 0, or what it told the finisher. */
  | { readonly kind: 'exit'; readonly code: number }
  | { readonly kind: 'reset' }
  | { readonly kind: 'limit'; readonly limit: 'instructions' | 'timeout' }
  /** Every hart waits, no timer is set and there is no input to come. */
  | { readonly kind: 'idle' }
  /** Traps without an instruction retired between them. */
  | { readonly kind: 'trap'; readonly cause: number; readonly pc: bigint }
  | { readonly kind: 'stopped' };

/** What the hart has, in the order of the ISA string. */
const EXTENSIONS =
  'i m a f d c zicbom zicbop zicboz zicntr zicond zicsr zifencei zihpm zba zbb zbs sstc svinval svnapot svpbmt'.split(
    ' ',
  );
/** Deterministic machines retire 100 instructions a microsecond. */
const INSTRUCTIONS_PER_TICK = 10;
/** Instructions between two looks at clock and devices. */
const SLICE = 100_000;
/**
 * The same where nothing is due before. In longer ones V8 would take up its optimised code late, and a guest that is slower all at once, as in code that is new, has its
 * timer interrupt late.
 */
const LONGEST_SLICE = 250_000;
/** Milliseconds of host time after which the event loop turns. */
const TURN = 10;
/** The same while the guest polls for input: whoever sees a prompt answers, and waits for the echo. */
const TURN_WHEN_POLLED = 1;
/** Milliseconds for which one look counts as polling: U-Boot looks every 10. */
const POLLING = 25;
const DEFAULT_MEMORY = 256 * 2 ** 20;
/** Slices in a row in which nothing retired. */
const STUCK = 3;
const A0 = 10;
/** Bytes for decoded pages, touched as they are needed. Booting Linux executes code of some 1300 pages, for which the usual place is too small. */
const DECODED = 64 * 2 ** 20;

export class VirtMachine {
  readonly board: VirtBoard;
  readonly bus: Bus;
  readonly mmu: Mmu;
  readonly hart: RiscvHart;
  readonly engine: Vcpu | SystemReference;
  readonly expansion: Expansion;
  readonly #plan: BootPlan;
  readonly #state: DataView<ArrayBuffer>;
  readonly #hooks: SystemHooks;
  readonly #clock: AlarmClock;
  readonly #attachments: Attachments;
  readonly #deterministic: boolean;
  readonly #compiler: BackgroundCompiler | undefined;
  readonly #cache: CodeCache | undefined;
  /** Ticks that passed while the hart waited, deterministic machines only. */
  #skipped = 0;
  #finish: Finish | undefined;
  /** Instructions a tick in the last slice. */
  #speed = INSTRUCTIONS_PER_TICK;
  /** Ends the host's sleep while the guest waits. */
  #wake: () => void = () => {};

  /** Throws ConfigError and ImageError for what cannot be built; close() it in the end. */
  constructor(options: VirtOptions) {
    const { memorySize: ramSize = DEFAULT_MEMORY, deterministic = false, transport = 'pci' } = options;
    this.#deterministic = deterministic;
    const random = deterministic ? seededRandom() : hostRandom;
    const seed = new Uint8Array(32);
    random(seed);
    const description = { ramSize, harts: 1, mmu: options.mmu ?? 'sv57', extensions: EXTENSIONS, seed } as const;
    this.#plan = planBoot(description, options);
    const memory = guestMemory(ramSize);
    this.#state = new DataView(memory.buffer, STATE, STATE_SIZE);
    this.bus = new Bus(memory);
    this.bus.addRam('RAM', RAM_BASE, ramSize, GUEST);
    this.mmu = new Mmu(memory, this.bus);
    const epoch = deterministic ? DETERMINISTIC_EPOCH : BigInt(Math.round(Date.now() * 1000)) * 1000n;
    this.#clock = new AlarmClock(TIMEBASE_FREQUENCY, deterministic ? () => this.#retiredTicks() : hostTicks());
    const byte = new Uint8Array(1);
    const output = options.output ?? (() => {});
    this.board = new VirtBoard({
      clock: this.#clock,
      epoch,
      harts: [hartWires(this.#state, () => this.engine.requestStop())],
      rom: this.#plan.rom,
      output: (value) => {
        byte[0] = value;
        output(byte);
      },
      finish: (finish) => {
        this.#finish = finish;
        this.engine.requestStop();
      },
    });
    this.board.attach(this.bus);
    this.#attachments = new Attachments(options, {
      clock: this.#clock,
      deterministic,
      random,
      now: () => Number(epoch / 1_000_000_000n) + this.#clock.now() / TIMEBASE_FREQUENCY,
      output,
      report: options.report ?? (() => {}),
    });
    const { devices } = this.#attachments;
    this.expansion = new Expansion(this.bus, {
      board: this.board,
      devices,
      transport,
      memory,
      ramSize,
      linear: GUEST,
    });
    this.#hooks = governTranslation(this.#state, this.mmu);
    const time = () => this.board.clint.timer.time;
    const end = memory.buffer.byteLength;
    const beyond = { begin: GUEST + ramSize, end };
    const translation = {
      mmu: this.mmu,
      hooks: this.#hooks,
      ...(end > beyond.begin + RECORDS_SIZE ? { records: beyond } : {}),
    };
    const tier = options.tier ?? 'auto';
    this.#cache = openCache(options, ramSize, translatedPolicyOf(tier));
    this.#compiler = backgroundCompiler(deterministic ? 'synchronous' : options.compilation, {
      isa: riscv64,
      guestSize: ramSize,
      translated: true,
      policy: translatedPolicyOf(tier),
    });
    const { log } = options;
    const linear = new Uint8Array(memory.buffer);
    this.engine = createTranslatedCpu(tier, riscv64, memory, ramSize, translation, time, {
      ...(deterministic ? {} : { now: hostMilliseconds }),
      ...(this.#compiler === undefined ? {} : { compilers: this.#compiler }),
      ...(this.#cache === undefined ? {} : { store: this.#cache.store }),
      ...(log === undefined ? {} : { translated: (event) => log.note(event, riscv64, linear) }),
    });
    options.trace?.attach(this.engine, riscv64, translatedFetch(riscv64, this.mmu, memory));
    this.hart = new RiscvHart(this.engine, this.#hooks, time, this.#supervisorCalls(output));
    this.#powerOn();
  }

  get instructions(): number {
    return this.hart.instructions;
  }

  /** Seconds of guest time since power-on. */
  get guestSeconds(): number {
    return this.#clock.now() / TIMEBASE_FREQUENCY;
  }

  /** Present with `virtioConsole`. */
  get console(): VirtioConsole | undefined {
    return this.#attachments.console;
  }

  /** Types bytes at the console. */
  type(bytes: Uint8Array): void {
    const { console } = this;
    if (console === undefined) this.board.uart.receive(bytes);
    else console.type(bytes);
    this.#wake();
  }

  /** Something outside has changed: a machine that sleeps looks again. */
  wake(): void {
    this.#wake();
  }

  /** What the display shows; undefined without `display`, and while the guest shows nothing. */
  screenshot(): RgbImage | undefined {
    return this.#attachments.gpu?.screenshot();
  }

  /** As after the power button: RAM is loaded anew, what disks hold stays. Guest time goes on. */
  reset(): void {
    this.#finish = undefined;
    this.board.reset();
    this.expansion.reset();
    this.#powerOn();
  }

  async run(limits: RunLimits = {}): Promise<MachineOutcome> {
    const { maximumInstructions = Infinity, timeout = Infinity, stopped = () => false } = limits;
    const end = hostMilliseconds() + timeout * 1000;
    let turned = hostMilliseconds();
    let polledUntil = 0;
    for (let stuck = 0; ;) {
      if (this.#finish !== undefined) return outcomeOf(this.#finish);
      const before = this.instructions;
      if (before >= maximumInstructions) return { kind: 'limit', limit: 'instructions' };
      const now = hostMilliseconds();
      if (this.board.uart.takeAsked()) polledUntil = now + POLLING;
      if (now - turned >= (now < polledUntil ? TURN_WHEN_POLLED : TURN)) {
        await eventLoop();
        if (stopped()) return { kind: 'stopped' };
        turned = hostMilliseconds();
        if (turned >= end) return { kind: 'limit', limit: 'timeout' };
      }
      this.#clock.poll();
      const begin = this.#clock.now();
      const left = maximumInstructions - before;
      const slice = Math.min(this.#slice(begin), left);
      // Nothing is due at a certain instruction by the host's clock.
      this.hart.run(slice, this.#deterministic ? slice : left);
      const retired = this.instructions - before;
      if (retired >= SLICE) this.#speed = retired / Math.max(1, this.#clock.now() - begin);
      if (this.hart.waiting) {
        if (this.#finish === undefined && !(await this.#idle(limits, end))) return { kind: 'idle' };
        stuck = 0;
      } else if (this.instructions > before) stuck = 0;
      else if (++stuck >= STUCK) return { kind: 'trap', cause: this.engine.cause, pc: this.engine.pc };
    }
  }

  /** Numbers for people and for comparison; those of deterministic machines repeat. */
  get counters(): Readonly<Record<string, unknown>> {
    const { engine, hart, mmu } = this;
    return {
      ...engine.counters,
      'guest-ticks': this.#clock.now(),
      'idle-ticks': this.#skipped,
      exceptions: Object.fromEntries(hart.counters.exceptions),
      interrupts: Object.fromEntries(hart.counters.interrupts),
      codeBytes: codeBytesOf(engine),
      translation: translationOf(engine),
      ...(this.#cache === undefined ? {} : { cache: this.#cache.counters }),
      tlb: { ...mmu.counters },
      virtio: this.#attachments.devices.map((device) => ({
        name: device.name,
        ...('counters' in device ? (device.counters as object) : {}),
      })),
    };
  }

  /** Why compiling in the background ended before the machine did; it went on as synchronous. */
  get compilerFailure(): string | undefined {
    return this.#compiler?.failure;
  }

  /** Keeps what has been translated for the next machine. Throws HostError. */
  saveCode(): void {
    const translated = translationOf(this.engine)?.translated ?? 0;
    // To write all of a store takes 50 ms.
    if (this.#cache !== undefined && translated * LITTLE_NEWS > this.#cache.counters.loaded) this.#cache.save();
  }

  /** Closes files of disks and captures. */
  close(): void {
    this.#attachments.close();
    // Nobody waits for it: a thread that is ended holds nothing of the guest's.
    void this.#compiler?.close();
  }

  #retiredTicks(): number {
    return this.engine.retired / INSTRUCTIONS_PER_TICK + this.#skipped;
  }

  /** Instructions until the machine has to look at its clock. */
  #slice(now: number): number {
    const ticks = this.#deadline() - now;
    if (this.#deterministic) return Math.max(1, Math.min(SLICE, ticks * INSTRUCTIONS_PER_TICK));
    return Math.max(SLICE, Math.min(LONGEST_SLICE, Math.floor(ticks * this.#speed)));
  }

  #deadline(): number {
    const deadline = Math.min(this.#clock.nextDeadline(), this.hart.deadline);
    // Guests switch stimecmp off by a time in the far future: nothing to skip to.
    return deadline < Number.MAX_SAFE_INTEGER ? deadline : Infinity;
  }

  /** The hart waits: until something is due, or the host has something. False when nothing ever will be. */
  async #idle({ inputEnded = () => true, stopped = () => false }: RunLimits, end: number): Promise<boolean> {
    const deadline = this.#deadline();
    const ticks = deadline - this.#clock.now();
    if (ticks <= 0) return true;
    if (this.#deterministic && deadline !== Infinity) {
      this.#skipped += ticks;
      return true;
    }
    if (deadline === Infinity && inputEnded()) return false;
    if (stopped() || hostMilliseconds() >= end) return true;
    const milliseconds = Math.min((ticks * 1000) / TIMEBASE_FREQUENCY, end - hostMilliseconds(), LONGEST_SLEEP);
    // Timers of the host have a millisecond's grain.
    if (milliseconds < 1) await eventLoop();
    else await this.#sleep(milliseconds);
    return true;
  }

  async #sleep(milliseconds: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = () => {};
  }

  #supervisorCalls(output: (bytes: Uint8Array) => void): (() => boolean) | undefined {
    if (this.#plan.mode === 'machine') return undefined;
    const environment = supervisorEnvironment({
      state: this.#state,
      mmu: this.mmu,
      hooks: this.#hooks,
      consoleWrite: output,
      consoleRead: (into) => this.board.uart.take(into),
      systemReset: (reset, failure) => {
        if (reset !== 'shutdown') this.#finish = { kind: 'reset' };
        else this.#finish = failure ? { kind: 'fail', code: 1 } : { kind: 'pass' };
      },
    });
    return () => {
      supervisorCall(environment, 0, this.#state);
      return this.#finish === undefined && !this.hart.waiting;
    };
  }

  /** RAM and the hart's registers as firmware or kernel find them. */
  #powerOn(): void {
    const { handover, pieces, mode, entry, deviceTree } = this.#plan;
    for (const piece of pieces) {
      const { name, address, length } = piece;
      const target = this.bus.view(address, length);
      if (target === undefined) throw new ConfigError(`${name} does not lie in RAM`);
      piece.copyTo(target);
      this.bus.written(address, length);
    }
    const state = this.#state;
    const lines = readCsrSlot(state, Slot.interruptLines);
    new Uint8Array(state.buffer, state.byteOffset + REGISTERS, REGISTERS_END - REGISTERS).fill(0);
    writeCsrSlot(state, Slot.interruptLines, lines);
    state.setBigInt64(StateOffset.reservation, -1n, true);
    const register = (index: number, value: number): void =>
      state.setBigUint64(X.offset + X.stride * index, BigInt(value), true);
    register(A0 + 1, handover?.a1 ?? deviceTree);
    register(A0 + 2, handover?.a2 ?? 0);
    if (mode === 'supervisor') enterSupervisor(state);
    else state.setUint32(PRIVILEGE.offset, Privilege.machine, true);
    this.engine.pc = BigInt(handover?.pc ?? entry);
    this.#hooks.protectionChanged();
    this.#hooks.translationChanged();
    this.#hooks.fence(undefined, undefined);
  }
}

const REGISTERS_END = CSR_STORAGE.offset + CSR_STORAGE.stride * CSR_STORAGE.count;

/** Not every boot is worth writing its translations: one in so many of those known must be new. */
const LITTLE_NEWS = 32;

/** Milliseconds: the longest sleep before the machine looks at its limits again. */
const LONGEST_SLEEP = 1000;

function outcomeOf(finish: Finish): MachineOutcome {
  switch (finish.kind) {
    case 'pass':
      return { kind: 'exit', code: 0 };
    case 'fail':
      // A process's exit code has eight bits, and failure must not look like success.
      return { kind: 'exit', code: finish.code & 0xff || 1 };
    case 'reset':
      return { kind: 'reset' };
  }
}

/** RAM, and behind it room for decoded pages as long as 32-bit addresses reach. */
function guestMemory(ramSize: number): WebAssembly.Memory {
  const size = GUEST + ramSize + DECODED;
  const pages = Math.ceil((size <= 2 ** 32 - 65536 ? size : GUEST + ramSize) / 65536);
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages });
  } catch (error) {
    throw new ConfigError(`the host has no room for ${ramSize / 2 ** 20} MiB of RAM`, {
      where: '--memory',
      mend: 'give less',
      cause: error,
    });
  }
}

function hostTicks(): () => number {
  const begin = hostMilliseconds();
  return () => ((hostMilliseconds() - begin) * TIMEBASE_FREQUENCY) / 1000;
}

function eventLoop(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
