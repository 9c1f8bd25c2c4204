import assert from 'node:assert/strict';
import { GUEST } from '../../emulator/layout/memory-map.ts';
import { L2Tlb } from '../../emulator/memory/l2-tlb.ts';
import { Pte } from '../../emulator/memory/sv.ts';
import { defineBench } from '../harness/define-bench.ts';

const SETS = 4096;
const WAYS = 4;
/** Of a process between two fences: its code, heap, libraries and stack. */
const PARTS = [0x10, 0x120, 0x3_f7ff, 0x3_fffe];
const PAGES_EACH = 32;
/** One of the kernel's, in a set of its own. */
const KERNELS = 0x500;
const [KERNEL, PROCESS, OTHER] = [0, 1, 2];
const LEAF = 0xdf & ~Pte.global;

/** A second level full of a kernel's pages, with those of a process that does not run. */
function filled(): L2Tlb {
  const pages = GUEST / 65536;
  const l2 = new L2Tlb(
    { sets: SETS, ways: WAYS, policy: 'pseudo-lru' },
    new WebAssembly.Memory({ initial: pages, maximum: pages }),
  );
  for (let page = 0; page < SETS * (WAYS - 1); page++)
    l2.insert((page << 12) | 0, -1, KERNEL, LEAF | Pte.global, 0, false, false);
  enter(l2, OTHER);
  return l2;
}

function enter(l2: L2Tlb, asid: number): void {
  for (const part of PARTS)
    for (let page = part; page < part + PAGES_EACH; page++) l2.insert((page << 12) | 0, 0, asid, LEAF, 0, false, false);
}

defineBench<L2Tlb>({
  id: 'memory/fence/address-space',
  title: `a fence of an address space with ${PARTS.length * PAGES_EACH} pages in a second level of ${SETS * WAYS} entries, their entering included`,
  unit: 'µs',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  setup: filled,
  work: (l2) => {
    enter(l2, PROCESS);
    l2.flushAsid(PROCESS);
  },
  check: (l2) => {
    const find = (asid: number): number => l2.find(PARTS[0]! << 12, 0, asid);
    assert.ok(find(PROCESS) < 0 && find(OTHER) >= 0, 'it forgets what it is to, and nothing else');
    assert.ok(l2.find(KERNELS << 12, -1, PROCESS) >= 0, 'global pages stay');
  },
  counters: (l2) => ({ entries: l2.size }),
});
