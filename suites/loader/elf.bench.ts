import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { riscv64Abi } from '../../emulator/linux-user/abi-riscv64.ts';
import { AddressSpace } from '../../emulator/linux-user/address-space.ts';
import { loadProgram } from '../../emulator/linux-user/image.ts';
import { STATE, STATE_SIZE } from '../../emulator/layout/memory-map.ts';
import { parseElf, type ElfImage, type ElfSection } from '../../emulator/loader/elf.ts';
import { FlatMemory } from '../../emulator/memory/flat.ts';
import { defineBench } from '../harness/define-bench.ts';

const PROGRAM = '../guests/riscv64/libc';

function readProgram(): Uint8Array {
  return readFileSync(join(import.meta.dirname, PROGRAM));
}

defineBench<Uint8Array>({
  id: 'loader/elf/parse',
  title: 'parse and check a static program',
  unit: 'µs',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  inputs: [PROGRAM],
  setup: readProgram,
  work: (bytes) => parseElf(bytes, 'libc'),
  check: (_, elf) => assert.equal((elf as ElfImage).machine, 243),
  counters: (bytes) => ({ segments: parseElf(bytes, 'libc').segments.length }),
});

defineBench<Uint8Array>({
  id: 'loader/elf/sections',
  title: 'parse it and read its section table',
  unit: 'µs',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  inputs: [PROGRAM],
  setup: readProgram,
  work: (bytes) => parseElf(bytes, 'libc').sections(),
  check: (_, sections) => assert((sections as readonly ElfSection[]).some(({ name }) => name === '.text')),
  counters: (bytes) => ({ sections: parseElf(bytes, 'libc').sections().length }),
});

interface Loading {
  readonly elf: ElfImage;
  readonly memory: FlatMemory;
  readonly state: DataView;
}

defineBench<Loading>({
  id: 'loader/elf/load',
  title: 'map it into a fresh address space and build its stack',
  unit: 'µs',
  kind: 'time',
  direction: 'lower',
  engine: 'tinybench',
  inputs: [PROGRAM],
  setup: () => {
    const memory = new FlatMemory(1 << 24);
    return {
      elf: parseElf(readProgram(), 'libc'),
      memory,
      state: new DataView(memory.memory.buffer, STATE, STATE_SIZE),
    };
  },
  work: ({ elf, memory, state }) => {
    memory.unmap(0, memory.size);
    const space = new AddressSpace(memory, () => {});
    return loadProgram(elf, space, state, riscv64Abi, ['libc', 'one'], ['A=b'], new Uint8Array(16)).trampoline;
  },
  check: ({ elf, memory }) => {
    for (const { address, fileOffset, fileSize } of elf.segments) {
      const placed = memory.bytes.subarray(address, address + fileSize);
      assert.equal(Buffer.compare(placed, elf.bytes.subarray(fileOffset, fileOffset + fileSize)), 0);
    }
  },
  counters: ({ elf }) => ({ 'segment-bytes': elf.segments.reduce((sum, { fileSize }) => sum + fileSize, 0) }),
});
