import assert from 'node:assert/strict';
import type { Mmu } from '../../emulator/memory/mmu.ts';
import { readClock } from '../harness/clock.ts';
import { defineBench } from '../harness/define-bench.ts';
import { THOROUGH } from '../harness/select.ts';
import { mappedMachine, pageAddresses } from './mapped.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const SIZES: readonly (readonly [name: string, bytes: number])[] = [
  ['256-b', 256],
  ['4-kib', 4 * KIB],
  ['64-kib', 64 * KIB],
  ['1-mib', MIB],
  ['16-mib', 16 * MIB],
  ['64-mib', 64 * MIB],
];
const COMMON = {
  unit: 'MiB/s',
  kind: 'throughput',
  direction: 'higher',
  engine: 'mitata',
  inputs: ['mapped.ts'],
} as const;

interface State {
  readonly mmu: Mmu;
  /** The first `bytes` of RAM: what is mapped, unless it is scattered. */
  readonly ram: Uint8Array;
  readonly low: number;
  readonly high: number;
  readonly buffer: Uint8Array;
}

/** `bytes` of guest memory from the start of a page, mapped page by page, and as much of the host's. */
function state(bytes: number, scattered = false): State {
  const pages = Math.max(2, 2 ** Math.ceil(Math.log2(bytes / 4096)));
  const machine = mappedMachine({ pages, scattered });
  const { mmu } = machine;
  const ram = new Uint8Array(machine.ram.buffer, machine.ram.byteOffset, bytes);
  const [low, high] = pageAddresses(1) as unknown as [number, number];
  const buffer = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i += 997) buffer[i] = i;
  assert.equal(mmu.writeBytes(low, high, buffer), bytes);
  return { mmu, ram, low, high, buffer };
}

const verify = ({ mmu, low, high, buffer }: State, moved: unknown): void => {
  assert.equal(moved, buffer.length);
  const copy = new Uint8Array(buffer.length);
  mmu.readBytes(low, high, copy);
  assert.equal(Buffer.compare(copy, buffer), 0);
};

for (const [name, bytes] of SIZES) {
  const sizes = ['4-kib', '16-mib'].includes(name) ? { tags: [THOROUGH] } : {};
  defineBench<State>({
    ...COMMON,
    ...sizes,
    id: `memory/bulk/read/${name}`,
    title: `read ${name.replace('-', ' ')} of guest memory`,
    setup: () => state(bytes),
    work: ({ mmu, low, high, buffer }) => mmu.readBytes(low, high, buffer),
    items: () => bytes,
    check: verify,
  });
  defineBench<State>({
    ...COMMON,
    ...sizes,
    id: `memory/bulk/write/${name}`,
    title: `write ${name.replace('-', ' ')} of guest memory`,
    setup: () => state(bytes),
    work: ({ mmu, low, high, buffer }) => mmu.writeBytes(low, high, buffer),
    items: () => bytes,
    check: verify,
  });
  defineBench<State>({
    ...COMMON,
    ...sizes,
    id: `memory/bulk/mixed/${name}`,
    title: `read ${name.replace('-', ' ')} of guest memory and write them back`,
    setup: () => state(bytes),
    work: ({ mmu, low, high, buffer }) => {
      mmu.readBytes(low, high, buffer);
      return mmu.writeBytes(low, high, buffer);
    },
    items: () => 2 * bytes,
    check: verify,
  });
  defineBench<{ from: Uint8Array; to: Uint8Array }>({
    ...COMMON,
    ...sizes,
    id: `memory/bulk/host/${name}`,
    title: `copy ${name.replace('-', ' ')} of the host's memory: what the others are held against`,
    setup: () => ({ from: new Uint8Array(bytes).fill(7), to: new Uint8Array(bytes) }),
    work: ({ from, to }) => {
      to.set(from);
      return to[bytes - 1];
    },
    items: () => bytes,
    check: (_, last) => assert.equal(last, 7),
  });
}

for (const [name, bytes] of SIZES.slice(2, 4)) {
  defineBench<State>({
    ...COMMON,
    id: `memory/bulk/scattered/${name}`,
    title: `read ${name.replace('-', ' ')} of guest memory whose pages are scattered over RAM`,
    setup: () => state(bytes, true),
    work: ({ mmu, low, high, buffer }) => mmu.readBytes(low, high, buffer),
    items: () => bytes,
    check: verify,
  });
}

for (const [name, bytes] of SIZES.slice(2)) {
  for (const direction of ['read', 'write'] as const) {
    defineBench<State>({
      id: `memory/bulk/${direction}-${name}-times-memcpy`,
      title: `${direction} ${name.replace('-', ' ')} of guest memory as a fraction of the host's own memcpy of the same bytes, side by side`,
      unit: 'times',
      kind: 'throughput',
      direction: 'higher',
      engine: 'tinybench',
      selfMeasured: true,
      inputs: ['mapped.ts'],
      target: { value: 0.8, from: 'issue 4' },
      setup: () => state(bytes),
      work: ({ mmu, ram, low, high, buffer }) => {
        const repeat = Math.max(1, (4 * MIB) / bytes);
        const guest = (): number => {
          const start = readClock('cpu');
          for (let i = 0; i < repeat; i++) {
            if (direction === 'read') mmu.readBytes(low, high, buffer);
            else mmu.writeBytes(low, high, buffer);
          }
          return readClock('cpu') - start;
        };
        const host = (): number => {
          const start = readClock('cpu');
          for (let i = 0; i < repeat; i++) {
            if (direction === 'read') buffer.set(ram);
            else ram.set(buffer);
          }
          return readClock('cpu') - start;
        };
        // Each comes as often after itself as after the other, so that what is left in the caches favours neither.
        const before = guest();
        const memcpy = host() + host();
        return memcpy / (before + guest());
      },
    });
  }
}
