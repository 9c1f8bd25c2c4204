import { ConfigError, ImageError } from '../check/errors.ts';
import { PAGE_SIZE, Permission } from '../layout/memory-map.ts';
import { StateOffset } from '../layout/state.ts';
import type { ElfImage } from '../loader/elf.ts';
import { parseElf } from '../loader/elf.ts';
import { writeNumber, type Abi } from './abi.ts';
import type { AddressSpace } from './address-space.ts';
import type { Program } from './process.ts';

const STACK_SIZE = 8 * 2 ** 20;
/** Where a position-independent program is put. */
const POSITION_INDEPENDENT_BASE = 0x40_0000;
/** Linux allows a quarter of the stack; this much is plenty and bounded. */
const MAXIMUM_ARGUMENT_BYTES = 2 ** 20;

/** Auxiliary vector entries (elf.h). */
const Auxiliary = {
  null: 0,
  phdr: 3,
  phent: 4,
  phnum: 5,
  pagesz: 6,
  base: 7,
  flags: 8,
  entry: 9,
  uid: 11,
  euid: 12,
  gid: 13,
  egid: 14,
  hwcap: 16,
  clktck: 17,
  secure: 23,
  random: 25,
  execfn: 31,
} as const;

/** Parses a program and checks that it can run here. Throws ImageError. */
export function parseProgram(program: Program, abi: Abi): ElfImage {
  const origin = program.origin ?? program.path;
  const elf = parseElf(program.bytes, origin);
  if (elf.machine !== abi.elfMachine)
    throw new ImageError(`e_machine ${elf.machine} is not ${abi.machine}`, {
      where: origin,
      mend: 'choose the --isa it was built for',
    });
  if (elf.interpreter !== undefined)
    throw new ImageError(`dynamically linked (wants ${elf.interpreter})`, {
      where: origin,
      mend: 'link it with -static',
    });
  return elf;
}

/** The top of the program, and where the signal trampoline stands. */
export interface LoadedProgram {
  readonly trampoline: number;
}

/**
 * Maps a program into a fresh address space, builds its stack (System V ABI, "Process Initialization") and sets the registers for its first
 * instruction. Strings are byte strings. Throws ImageError when it does not fit, ConfigError for too many arguments.
 */
export function loadProgram(
  elf: ElfImage,
  space: AddressSpace,
  state: DataView,
  abi: Abi,
  argv: readonly string[],
  environment: readonly string[],
  random: Uint8Array,
): LoadedProgram {
  const { memory } = space;
  const base = elf.positionIndependent ? POSITION_INDEPENDENT_BASE : 0;
  const stackTop = memory.size - PAGE_SIZE;
  const trampoline = stackTop;
  const stackBottom = stackTop - Math.min(STACK_SIZE, memory.size / 4);
  const place = (address: number, size: number, permissions: number): void => {
    if (space.place(address, size, permissions)) return;
    throw new ImageError('the processes together have no memory left', { where: elf.origin, mend: 'raise --memory' });
  };
  let top = 0;
  for (const segment of elf.segments) {
    const address = base + segment.address;
    const end = address + segment.memorySize;
    if (address < PAGE_SIZE || end > stackBottom) {
      throw new ImageError(
        `segment at 0x${address.toString(16)}, ${segment.memorySize} bytes, does not fit into ${memory.size / 2 ** 20} MiB of guest memory`,
        { where: elf.origin, mend: 'raise --memory' },
      );
    }
    const permissions =
      (segment.readable ? Permission.read : 0) |
      (segment.writable ? Permission.write : 0) |
      (segment.executable ? Permission.execute | Permission.read : 0);
    if (segment.memorySize > 0) place(address, segment.memorySize, permissions);
    memory.bytes.set(elf.bytes.subarray(segment.fileOffset, segment.fileOffset + segment.fileSize), address);
    top = Math.max(top, end);
  }
  space.setBreak(top);
  place(stackBottom, stackTop - stackBottom, Permission.read | Permission.write);
  place(trampoline, PAGE_SIZE, Permission.read | Permission.execute);
  memory.bytes.set(abi.signalReturn, trampoline);
  // One page stays free below the stack, so that running off its end faults.
  space.setCeiling(stackBottom - PAGE_SIZE);

  let at = stackTop - 16;
  const push = (text: string): number => {
    const bytes = Buffer.from(`${text}\0`, 'latin1');
    at -= bytes.length;
    memory.bytes.set(bytes, at);
    return at;
  };
  const total = [...argv, ...environment].reduce((sum, text) => sum + text.length + 9, 0);
  if (total > Math.min(MAXIMUM_ARGUMENT_BYTES, (stackTop - stackBottom) / 4))
    throw new ConfigError(`arguments and environment of ${total} bytes are too long`, { mend: 'pass fewer of them' });
  const name = push(elf.origin);
  const environmentPointers = environment.map(push);
  const argumentPointers = argv.map(push);
  at -= 16;
  memory.bytes.set(random.subarray(0, 16), at);
  const randomAt = at;
  const headers = elf.programHeaders;
  const auxiliary: [number, number][] = [
    [Auxiliary.pagesz, PAGE_SIZE],
    [Auxiliary.base, 0],
    [Auxiliary.flags, 0],
    [Auxiliary.entry, base + elf.entry],
    [Auxiliary.uid, 1000],
    [Auxiliary.euid, 1000],
    [Auxiliary.gid, 1000],
    [Auxiliary.egid, 1000],
    [Auxiliary.hwcap, abi.hardwareCapabilities],
    [Auxiliary.clktck, 100],
    [Auxiliary.secure, 0],
    [Auxiliary.random, randomAt],
    [Auxiliary.execfn, name],
  ];
  if (headers.address !== undefined)
    auxiliary.unshift(
      [Auxiliary.phdr, base + headers.address],
      [Auxiliary.phent, headers.entrySize],
      [Auxiliary.phnum, headers.count],
    );
  const words = [
    argv.length,
    ...argumentPointers,
    0,
    ...environmentPointers,
    0,
    ...auxiliary.flat(),
    Auxiliary.null,
    0,
  ];
  const stackPointer = Math.floor((at - words.length * 8) / 16) * 16;
  words.forEach((word, i) => writeNumber(memory.view, stackPointer + 8 * i, word));
  abi.initialise(state);
  abi.setStackPointer(state, stackPointer);
  writeNumber(state, StateOffset.pc, base + elf.entry);
  return { trampoline };
}
