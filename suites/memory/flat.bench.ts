import assert from 'node:assert/strict';
import { Permission } from '../../emulator/layout/memory-map.ts';
import { FlatMemory } from '../../emulator/memory/flat.ts';
import { defineBench } from '../harness/define-bench.ts';

const SIZE = 1 << 24;
const MAPPED = 0x10_0000;
const MAPPED_SIZE = 0x40_0000;
const ACCESSES = 1024;

/** 4 MiB of 16 are mapped and filled with 0x5a; a text stands at their start. */
function mapped(): FlatMemory {
  const memory = new FlatMemory(SIZE);
  memory.protect(MAPPED, MAPPED_SIZE, Permission.read | Permission.write);
  memory.bytes.fill(0x5a, MAPPED, MAPPED + MAPPED_SIZE);
  memory.bytes.set(Buffer.from('/usr/share/something/or/other\0', 'latin1'), MAPPED);
  return memory;
}

/** Addresses that walk over pages and lines alike. */
const addressOf = (index: number): number => MAPPED + 64 + ((index * 4_168) % (MAPPED_SIZE - 128));

defineBench<FlatMemory>({
  id: 'memory/flat/read',
  title: 'check and read 8 bytes of guest memory from the host',
  unit: 'ns/access',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  setup: mapped,
  work: (memory) => {
    let sum = 0;
    for (let i = 0; i < ACCESSES; i++) {
      const address = addressOf(i);
      if (memory.allows(address, 8, Permission.read)) sum += memory.view.getUint32(address, true);
    }
    return sum;
  },
  items: () => ACCESSES,
  check: (_, sum) => assert.equal(sum, ACCESSES * 0x5a5a_5a5a),
});

defineBench<FlatMemory>({
  id: 'memory/flat/write',
  title: 'check and write 64 bytes of guest memory from the host',
  unit: 'ns/access',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  setup: mapped,
  work: (memory) => {
    let written = 0;
    for (let i = 0; i < ACCESSES; i++) {
      const bytes = memory.writable(addressOf(i), 64);
      if (bytes === undefined) continue;
      bytes.fill(i & 0xff);
      written += bytes.length;
    }
    return written;
  },
  items: () => ACCESSES,
  check: (memory, written) => {
    assert.equal(written, 64 * ACCESSES);
    assert.equal(memory.writable(0, 1), undefined);
  },
});

defineBench<FlatMemory>({
  id: 'memory/flat/string',
  title: 'read a path of 29 bytes',
  unit: 'ns',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  setup: mapped,
  work: (memory) => memory.string(MAPPED),
  check: (_, text) => assert.equal(text, '/usr/share/something/or/other'),
});

defineBench<FlatMemory>({
  id: 'memory/flat/clone',
  title: 'copy an address space of 4 mapped MiB for a forked process',
  unit: 'MiB/s',
  kind: 'throughput',
  direction: 'higher',
  engine: 'tinybench',
  setup: mapped,
  work: (memory) => memory.clone(),
  items: () => MAPPED_SIZE,
  check: (memory, clone) => {
    const copy = clone as FlatMemory;
    assert.equal(Buffer.compare(copy.bytes, memory.bytes), 0);
    assert.equal(Buffer.compare(copy.permission, memory.permission), 0);
  },
});
