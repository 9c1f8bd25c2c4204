import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ModuleBuilder } from '../../wasm/module.ts';
import { ValType } from '../../wasm/type.ts';
import { CodeStore, costOf, type StoredCode } from './code-store.ts';
import type { CompiledRegion } from './translate.ts';

/** A region of four guest bytes from `seed` whose module has about so many bytes. */
function region(seed: number, size: number): CompiledRegion {
  const module = new ModuleBuilder({ check: true });
  const fn = module.function('run', [ValType.i32], [ValType.i32]);
  for (let at = 0; at < size; at += 3) {
    fn.i32Const(0);
    fn.drop();
  }
  fn.i32Const(seed);
  module.exportFunction('run', fn);
  return {
    seed,
    bytes: module.encode(),
    floatOps: [],
    exits: [],
    entries: [{ pc: seed, inlined: false }],
    ranges: [[seed, seed + 4]],
    pages: [],
    longest: 1,
    circumstances: { modes: [], inexactAccrued: false },
    assumptions: [],
    counters: { nodes: 1, instructions: 1, irOps: 1, wasmOps: 1, wasmBytes: size },
  };
}

const source = new Uint8Array(4);
const use = ({ code }: StoredCode) => code;

test('code is compiled once while it is warm, and again after others have taken its place', () => {
  const [first, second, third] = [region(0, 300), region(4, 300), region(8, 300)];
  const store = new CodeStore(10_000, costOf(first) + costOf(second));
  for (const code of [first, second, third]) store.add(code, source);
  const module = store.moduleOf(first);
  assert.equal(store.moduleOf(first), module);
  store.moduleOf(second);
  assert.equal(store.moduleOf(first), module, 'it was used last, so the second is the next to go');
  store.moduleOf(third);
  assert.equal(store.moduleOf(first), module);
  assert.deepEqual(store.counters, { warmed: 3, warmHits: 3, cooled: 1, forgotten: 0, refused: 0 });
  store.moduleOf(second);
  assert.deepEqual(store.counters, { warmed: 4, warmHits: 3, cooled: 2, forgotten: 0, refused: 0 });
  store.checkInvariants();
});

test('code of a file is compiled with what follows it there, and counts as warm when it is wanted', () => {
  const codes = Array.from({ length: 20 }, (_, at) => region(4 * at, 30));
  const store = new CodeStore();
  for (const code of codes) store.add(code, source, false);
  const resultOf = (code: CompiledRegion) => {
    assert.ok(store.verify(code));
    const { module, name } = store.moduleOf(code);
    return (new WebAssembly.Instance(module).exports[name] as (entry: number) => number)(0);
  };
  assert.equal(resultOf(codes[2]!), 8);
  store.checkInvariants();
  assert.equal(store.counters.warmed, 1);
  for (const code of codes) assert.equal(resultOf(code), code.seed);
  assert.deepEqual(store.counters, { warmed: 20, warmHits: 1, cooled: 0, forgotten: 0, refused: 0 });
  const modules = codes.map((code) => store.moduleOf(code).module);
  assert.equal(modules[2], modules[17], 'sixteen are one module');
  assert.equal(modules[0], modules[18], 'and the others are as well');
  store.checkInvariants();
});

test('what is no region among the code of a file is refused alone', () => {
  const codes = [region(0, 30), { ...region(4, 30), bytes: new Uint8Array(9) }, region(8, 30)];
  const invalid = region(12, 30);
  // The last instruction but one: what is returned.
  invalid.bytes[invalid.bytes.length - 2] = 0xff;
  const store = new CodeStore();
  for (const code of [...codes, invalid]) store.add(code, source, false);
  assert.deepEqual(
    [...codes, invalid].map((code) => store.verify(code)),
    [true, false, true, false],
  );
  assert.equal(store.counters.refused, 2);
  store.checkInvariants();
});

test('what is forgotten is neither found nor kept warm', () => {
  const [first, second] = [region(0, 300), region(4, 300)];
  const store = new CodeStore(costOf(first) + 10);
  store.add(first, source);
  store.moduleOf(first);
  store.add(second, source);
  assert.equal(store.find(0, use), undefined);
  assert.equal(store.find(4, use), second);
  assert.equal(store.counters.forgotten, 1);
  store.discard(second);
  assert.equal(store.find(4, use), undefined);
  assert.equal(store.bytes, 0);
  store.checkInvariants();
});

test('capacities hold whatever is added, used and discarded', () => {
  const step = fc.record({
    what: fc.constantFrom('add', 'use', 'discard' as const),
    seed: fc.nat(20),
    size: fc.nat(400),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const store = new CodeStore(12_000, 6000);
      for (const { what, seed, size } of steps) {
        const found = store.find(4 * seed, use);
        if (what === 'add') store.add(region(4 * seed, size), source);
        else if (found !== undefined && what === 'use') store.moduleOf(found);
        else if (found !== undefined) store.discard(found);
        store.checkInvariants();
      }
    }),
    { numRuns: 60 },
  );
});
