import { ConfigError, ImageError } from '../check/errors.ts';
import { riscv64 } from '../isa/riscv/index.ts';
import { pendingInterrupt } from '../isa/riscv/interrupt.ts';
import { Privilege, PRIVILEGE } from '../isa/riscv/registers.ts';
import { causeOfFault, deliverInterrupt, deliverTrap } from '../isa/riscv/trap.ts';
import { GUEST, PAGE_SIZE, Permission, STATE, STATE_SIZE } from '../layout/memory-map.ts';
import { ExitReason, FaultKind } from '../layout/state.ts';
import type { GuestFault, Outcome } from '../linux-user/outcome.ts';
import { ElfMachine, parseElf, type ElfImage } from '../loader/elf.ts';
import { Bus } from '../memory/bus.ts';
import { FlatMemory } from '../memory/flat.ts';
import { Mmu } from '../memory/mmu.ts';
import type { MmuCounters } from '../memory/translation-counters.ts';
import { governTranslation } from './riscv-translation.ts';
import { type InstructionTrace, translatedFetch } from './instruction-trace.ts';
import { hostMilliseconds } from './surroundings.ts';
import { codeBytesOf, createTranslatedCpu, sumCounters, type Tier } from './tier.ts';

export interface BareOptions {
  readonly isa?: 'riscv64';
  readonly image: { readonly origin: string; readonly bytes: Uint8Array };
  /** Bytes of RAM at RAM_BASE; 128 MiB unless given. */
  readonly memorySize?: number;
  /** `auto` unless given. */
  readonly tier?: Tier;
  readonly maximumInstructions?: number;
  /** Seconds. */
  readonly timeout?: number;
  /** Where console bytes go. */
  readonly output?: (chunk: Uint8Array) => void;
  /** See UserOptions. */
  readonly trace?: InstructionTrace;
}

export interface BareResult {
  readonly outcome: Outcome;
  readonly counters: Readonly<Record<string, number>>;
  /** Host seconds between the first guest instruction and the end. */
  readonly seconds: number;
  /** What address translation did. */
  readonly tlb: Readonly<MmuCounters>;
}

const RAM_BASE = 0x8000_0000;
/** The test finisher of the common RISC-V `virt` board: a word written here ends the run. */
const FINISHER = 0x10_0000;
const FINISHER_FAIL = 0x3333;
const FINISHER_PASS = 0x5555;
const FINISHER_RESET = 0x7777;
/** Instructions between looks at tohost and the finisher. */
const SLICE = 10_000;
/** Instructions run between two looks before a value counts: a word written in two halves is then whole. */
const SETTLE = 8;
/** Exceptions in a row without one instruction retired between them: no handler is there to take them. */
const TRAP_LOOP = 3;

/**
 * Runs a bare-metal ELF from machine mode on. It ends through `tohost` (the host-target interface of the RISC-V test programs:
 * device 0 ends, device 1 command 1 is the console) or the test finisher. Throws ImageError and ConfigError for what cannot run.
 */
export function runBare(options: BareOptions): BareResult {
  const elf = parseElf(options.image.bytes, options.image.origin);
  if (elf.machine !== ElfMachine.riscv)
    throw new ImageError(`e_machine ${elf.machine} is not riscv64`, {
      where: elf.origin,
      mend: 'build it for riscv64',
    });
  const ram = options.memorySize ?? 128 * 2 ** 20;
  if (ram % PAGE_SIZE !== 0)
    throw new ConfigError(`RAM of ${ram} bytes is not a multiple of 4 KiB`, { mend: 'round --memory' });
  const memory = new FlatMemory(RAM_BASE + Math.ceil(ram / 65536) * 65536);
  memory.protect(RAM_BASE, ram, Permission.read | Permission.write | Permission.execute);
  memory.protect(FINISHER, PAGE_SIZE, Permission.read | Permission.write);
  load(elf, memory, ram);
  const { cpu, mmu, hooks } = hartBehindMmu(memory, ram, options.tier ?? 'auto');
  options.trace?.attach(cpu, riscv64, translatedFetch(riscv64, mmu, memory.memory));
  const trapped = hooks.translationChanged;
  cpu.state.setUint32(PRIVILEGE.offset, Privilege.machine, true);
  trapped();
  cpu.pc = BigInt(elf.entry);
  const tohost = elf.symbols().find(({ name }) => name === 'tohost')?.address;
  const host = new HostInterface(
    memory,
    tohost !== undefined && memory.allows(tohost, 16, Permission.read) ? tohost : undefined,
    options.output ?? (() => {}),
  );
  const maximum = options.maximumInstructions ?? Infinity;
  const begin = hostMilliseconds();
  const deadline = begin + (options.timeout ?? Infinity) * 1000;
  const finish = (outcome: Outcome): BareResult => ({
    outcome,
    seconds: (hostMilliseconds() - begin) / 1000,
    counters: { ...sumCounters([cpu]), codeBytes: codeBytesOf(cpu) },
    tlb: { ...mmu.counters },
  });

  let trapsInRow = 0;
  let first: GuestFault | undefined;
  let slice = SLICE;
  for (;;) {
    const before = cpu.counters.instructions;
    if (before >= maximum) return finish({ kind: 'limit', limit: 'instructions' });
    if (hostMilliseconds() >= deadline) return finish({ kind: 'limit', limit: 'timeout' });
    const interrupt = pendingInterrupt(cpu.state);
    if (interrupt !== undefined) {
      deliverInterrupt(cpu.state, interrupt);
      trapped();
    }
    const reason = cpu.run(Math.min(slice, maximum - before));
    if (cpu.counters.instructions > before) trapsInRow = 0;
    if (reason === ExitReason.trap || reason === ExitReason.fault) {
      const cause = reason === ExitReason.trap ? cpu.cause : causeOfFault(cpu.cause);
      const fault: GuestFault = {
        pc: cpu.pc,
        kind: reason === ExitReason.trap ? 'trap' : faultName(cpu.cause),
        cause,
        address: cpu.value,
      };
      if (trapsInRow++ === 0) first = fault;
      if (trapsInRow >= TRAP_LOOP)
        return finish({
          kind: 'signal',
          signal: first!.cause,
          name: `trap ${first!.cause} that no handler takes`,
          fault: first!,
        });
      deliverTrap(cpu.state, cause, cpu.value);
      trapped();
    }
    const look = host.look();
    if (typeof look === 'object') return finish(look);
    slice = look === 'settle' ? SETTLE : SLICE;
  }
}

/** An engine behind an MMU over flat memory's RAM and finisher. */
function hartBehindMmu(memory: FlatMemory, ram: number, tier: Tier) {
  const bus = new Bus(memory.memory);
  bus.addRam('RAM', RAM_BASE, ram, GUEST + RAM_BASE);
  bus.addRam('finisher', FINISHER, PAGE_SIZE, GUEST + FINISHER);
  const mmu = new Mmu(memory.memory, bus);
  const state = new DataView(memory.memory.buffer as ArrayBuffer, STATE, STATE_SIZE);
  const hooks = governTranslation(state, mmu);
  return { cpu: createTranslatedCpu(tier, riscv64, memory.memory, memory.size, { mmu, hooks }), mmu, hooks };
}

function faultName(fault: number): GuestFault['kind'] {
  switch (fault) {
    case FaultKind.load:
    case FaultKind.loadPage:
      return 'load';
    case FaultKind.store:
    case FaultKind.storePage:
      return 'store';
    case FaultKind.fetch:
    case FaultKind.fetchPage:
      return 'fetch';
    case FaultKind.loadMisaligned:
      return 'misaligned load';
    default:
      return 'misaligned store';
  }
}

/** Puts the segments at their physical addresses. */
function load(elf: ElfImage, memory: FlatMemory, ram: number): void {
  for (const { physicalAddress, fileOffset, fileSize, memorySize } of elf.segments) {
    if (physicalAddress < RAM_BASE || physicalAddress + memorySize > RAM_BASE + ram) {
      throw new ImageError(
        `segment at 0x${physicalAddress.toString(16)}, ${memorySize} bytes, is outside RAM (0x${RAM_BASE.toString(16)}, ${ram / 2 ** 20} MiB)`,
        { where: elf.origin, mend: 'link it there or raise --memory' },
      );
    }
    memory.bytes.set(elf.bytes.subarray(fileOffset, fileOffset + fileSize), physicalAddress);
  }
}

/** `tohost` and the finisher, looked at between slices of instructions. */
class HostInterface {
  readonly #memory: FlatMemory;
  readonly #tohost: number | undefined;
  readonly #output: (chunk: Uint8Array) => void;
  #seen = 0n;

  constructor(memory: FlatMemory, tohost: number | undefined, output: (chunk: Uint8Array) => void) {
    this.#memory = memory;
    this.#tohost = tohost;
    this.#output = output;
  }

  /** How the run ended, `settle` when a value has just appeared and is to be looked at once more, else undefined. */
  look(): Outcome | 'settle' | undefined {
    const { view } = this.#memory;
    const finisher = view.getUint32(FINISHER, true);
    switch (finisher & 0xffff) {
      case FINISHER_PASS:
        return { kind: 'exit', code: 0 };
      case FINISHER_FAIL:
        return { kind: 'exit', code: (finisher >>> 16) & 0xff };
      case FINISHER_RESET:
        return { kind: 'exit', code: 0 };
    }
    if (this.#tohost === undefined) return undefined;
    const word = view.getBigUint64(this.#tohost, true);
    if (word === 0n) {
      this.#seen = 0n;
      return undefined;
    }
    if (word !== this.#seen) {
      this.#seen = word;
      return 'settle';
    }
    return this.#command(word, this.#tohost);
  }

  #command(word: bigint, tohost: number): Outcome | undefined {
    const device = Number(word >> 56n);
    const command = Number((word >> 48n) & 0xffn);
    const payload = word & 0xffff_ffff_ffffn;
    if (device === 0 && command === 0 && (payload & 1n) === 1n)
      return { kind: 'exit', code: Number((payload >> 1n) & 0xffn) };
    if (device === 1 && command === 1) this.#output(Uint8Array.of(Number(payload & 0xffn)));
    // The guest waits for the word to be taken before it writes the next one.
    this.#memory.view.setBigUint64(tohost, 0n, true);
    this.#seen = 0n;
    return undefined;
  }
}
