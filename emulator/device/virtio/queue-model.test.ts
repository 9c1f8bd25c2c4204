import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RingFeature } from './device.ts';
import { DescriptorFlag, OpenDevice, RAM, SECOND_RAM, TestMachine } from './driver.test-support.ts';
import type { Descriptor } from './driver.test-support.ts';
import { FuzzSource, fuzzRuns } from './fuzz.test-support.ts';
import { MAX_SEGMENTS, QueueFault } from './queue.ts';

/**
 * The queue's walk against a plain model that says which fault, or which segments, a table of descriptors must give. The model looks at
 * descriptors as objects and computes addresses as bigints.
 */
const SIZE = 8;
const TABLE_ENTRIES = 6;

interface Expected {
  readonly fault?: QueueFault;
  readonly segments?: readonly { address: bigint; length: number; write: boolean }[];
}

const REGIONS = [RAM, SECOND_RAM].map(({ address, size }) => ({ start: BigInt(address), end: BigInt(address + size) }));

function inRam(address: bigint, length: number): boolean {
  return REGIONS.some(({ start, end }) => address >= start && address + BigInt(length) <= end);
}

/** `tables` holds the indirect tables by address; a table the driver never wrote is all zeroes. */
function model(
  ring: readonly Descriptor[],
  head: number,
  tables: ReadonlyMap<bigint, readonly Descriptor[]>,
  indirectAllowed: boolean,
): Expected {
  const segments: { address: bigint; length: number; write: boolean }[] = [];
  let table = ring;
  let entries = SIZE;
  let budget = SIZE;
  let index = head;
  let nested = false;
  for (;;) {
    if (budget === 0) return { fault: QueueFault.loop };
    budget--;
    const { address, length, flags, next } = table[index] ?? { address: 0n, length: 0, flags: 0, next: 0 };
    const at = BigInt(address);
    if ((flags & DescriptorFlag.indirect) !== 0) {
      if (!indirectAllowed) return { fault: QueueFault.indirectFeature };
      if (nested) return { fault: QueueFault.indirectNested };
      if ((flags & DescriptorFlag.next) !== 0) return { fault: QueueFault.indirectNext };
      if ((flags & ~7) !== 0) return { fault: QueueFault.flags };
      if (length === 0 || length % 16 !== 0 || length / 16 > 65_535) return { fault: QueueFault.indirectLength };
      if (!inRam(at, length)) return { fault: QueueFault.indirectAddress };
      nested = true;
      table = tables.get(at) ?? [];
      entries = length / 16;
      budget = Math.min(entries, MAX_SEGMENTS);
      index = 0;
      continue;
    }
    if ((flags & ~3) !== 0) return { fault: QueueFault.flags };
    if (length === 0) return { fault: QueueFault.emptyBuffer };
    if (!inRam(at, length)) return { fault: QueueFault.bufferAddress };
    const write = (flags & DescriptorFlag.write) !== 0;
    if (!write && segments.some((segment) => segment.write)) return { fault: QueueFault.order };
    segments.push({ address: at, length, write });
    if ((flags & DescriptorFlag.next) === 0) break;
    if (next >= entries) return { fault: QueueFault.next };
    index = next;
  }
  const total = segments.reduce((sum, { length }) => sum + length, 0);
  return total > 2 ** 32 ? { fault: QueueFault.totalLength } : { segments };
}

test('the walk gives the fault or the segments that a plain model gives', (t) => {
  const source = new FuzzSource();
  t.diagnostic(source.banner);
  const seen = new Map<string, number>();
  const device = new OpenDevice([SIZE]);
  const machine = new TestMachine('mmio', () => device);
  const { driver } = machine;
  let indirectAllowed = true;
  const restart = (): void => {
    indirectAllowed = source.below(8) !== 0;
    driver.start(indirectAllowed ? undefined : 0xffff_ffff_ffff_ffffn & ~RingFeature.indirectDescriptors, SIZE);
  };
  restart();
  for (let run = 0; run < fuzzRuns(20_000); run++) {
    const queue = driver.queues[0]!;
    const ring = device.host!.queues[0]!;
    // Two tables at fixed places behind everything that was allocated, so that zeroes never lie behind them by chance.
    const places = [RAM.address + 0x10_0000, RAM.address + 0x11_0008];
    const tables = new Map<bigint, readonly Descriptor[]>();
    for (const place of places) {
      const table = Array.from({ length: TABLE_ENTRIES }, () => randomDescriptor(source, TABLE_ENTRIES, places));
      driver.bytes(place, 0x1000).fill(0);
      for (const [i, descriptor] of table.entries()) queue.writeDescriptor(i, descriptor, place);
      tables.set(BigInt(place), table);
    }
    const descriptors = Array.from({ length: SIZE }, () => randomDescriptor(source, SIZE, places));
    for (const [i, descriptor] of descriptors.entries()) queue.writeDescriptor(i, descriptor);
    const head = source.below(SIZE);
    queue.offer(head);
    const chain = ring.pop();
    const expected = model(descriptors, head, tables, indirectAllowed);
    const got = chain && {
      segments: Array.from({ length: chain.count }, (_, i) => ({
        address: BigInt(chain.address(i)),
        length: chain.lengths[i]!,
        write: i >= chain.readableCount,
      })),
    };
    assert.deepEqual(got ?? { fault: ring.fault }, expected, `run ${run} of ${source.banner}`);
    const outcome = expected.fault ?? `${expected.segments!.length > 1 ? 'several segments' : 'one segment'}`;
    seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
    if (chain === undefined) restart();
    else ring.push(chain, 0);
  }
  const walked: readonly QueueFault[] = [
    QueueFault.loop,
    QueueFault.next,
    QueueFault.order,
    QueueFault.flags,
    QueueFault.emptyBuffer,
    QueueFault.bufferAddress,
    QueueFault.indirectLength,
    QueueFault.indirectNested,
    QueueFault.indirectNext,
    QueueFault.indirectAddress,
    QueueFault.indirectFeature,
  ];
  for (const outcome of [...walked, 'several segments']) assert.ok(seen.has(outcome), `no run came to: ${outcome}`);
});

/** Mostly reasonable, so that walks get far. */
function randomDescriptor(source: FuzzSource, entries: number, tables: readonly number[]): Descriptor {
  const indirect = source.below(6) === 0;
  const flags =
    source.pick([0, 1, 1, 2, 3, 3]) | (indirect ? DescriptorFlag.indirect : 0) | (source.below(40) === 0 ? 8 : 0);
  const next = source.below(20) === 0 ? entries + source.below(3) : source.below(entries);
  if (indirect) {
    const length = source.pick([16 * TABLE_ENTRIES, 16 * TABLE_ENTRIES, 32, 16, 0, 15, 0x10_0000, 0x1000]);
    const cleared = source.below(3) > 0 ? flags & ~DescriptorFlag.next : flags;
    return { address: source.below(12) === 0 ? 0x1000 : source.pick(tables), length, flags: cleared, next };
  }
  const end = SECOND_RAM.address + SECOND_RAM.size;
  const address = source.pick<number | bigint>([
    RAM.address,
    RAM.address + source.below(4096),
    SECOND_RAM.address - 8,
    end - 16,
    ...(source.below(6) === 0 ? [0, end, 0xffff_ffff_ffff_fff0n, BigInt(RAM.address) << 32n] : [RAM.address]),
  ]);
  const length = source.pick([8, 16, 1, 8, 4096, ...(source.below(10) === 0 ? [0, 0xffff_ffff] : [2])]);
  return { address, length, flags, next };
}
