import assert from 'node:assert/strict';
import test from 'node:test';
import { Dispatcher } from './dispatcher.ts';
import { RegionTable } from './region-table.ts';
import type { CompiledRegion } from './translate.ts';

type Range = readonly [number, number];

/** A table that notes which entries the interpreter stops at. */
function makeTable(): { table: RegionTable; marked: Set<number> } {
  const memory = new WebAssembly.Memory({ initial: 64 });
  const marked = new Set<number>();
  const mark = (place: number, isMarked: boolean) => void (isMarked ? marked.add(place) : marked.delete(place));
  return { table: new RegionTable(new Dispatcher(memory, 2, () => 0, 3, false), mark, () => {}), marked };
}

/** A region of these bytes, entered at its first one, at `entries`, and inside copies at `inlined`. */
function add(
  table: RegionTable,
  ranges: readonly Range[],
  entries: readonly number[],
  inlined: readonly number[] = [],
) {
  const seed = entries[0]!;
  const code: CompiledRegion = {
    seed,
    bytes: new Uint8Array(100),
    floatOps: [],
    exits: [],
    entries: [...entries.map((pc) => ({ pc, inlined: false })), ...inlined.map((pc) => ({ pc, inlined: true }))],
    ranges,
    pages: [],
    longest: 10,
    circumstances: { modes: [], inexactAccrued: false },
    assumptions: [],
    counters: { nodes: 1, instructions: 10, irOps: 10, wasmOps: 10, wasmBytes: 100 },
  };
  const sites = { ranges, entries: code.entries.map(({ pc }) => pc), pages: [] };
  return table.add(code, null as unknown as WebAssembly.ExportValue, 0, sites);
}

test('a region takes the place of what it covers and can be entered at', () => {
  const { table, marked } = makeTable();
  const loop = add(table, [[0x1040, 0x1060]], [0x1040]);
  const whole = add(table, [[0x1000, 0x1100]], [0x1000, 0x1040]);
  assert.ok(!loop.live);
  assert.deepEqual([...table], [whole]);
  assert.equal(table.entryAt(0x1040)?.region, whole);
  assert.deepEqual([...marked].sort(), [0x1000, 0x1040]);
  table.checkInvariants();
});

test('a function that is copied into its caller keeps its own region', () => {
  const { table, marked } = makeTable();
  const callee = add(table, [[0x2000, 0x2020]], [0x2000, 0x2008]);
  const caller = add(
    table,
    [
      [0x1000, 0x1100],
      [0x2000, 0x2020],
    ],
    [0x1000],
    [0x2008],
  );
  assert.ok(callee.live);
  assert.equal(table.entryAt(0x2000)?.region, callee);
  assert.equal(table.entryAt(0x2008)?.region, callee);
  table.checkInvariants();
  // Another one that begins there is better informed.
  const renewed = add(table, [[0x2000, 0x2020]], [0x2000, 0x2008]);
  assert.deepEqual([...table], [caller, renewed]);
  assert.deepEqual([...marked].sort(), [0x1000, 0x2000, 0x2008]);
  table.checkInvariants();
});
