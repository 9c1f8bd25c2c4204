import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BranchHint } from '../../wasm/function.ts';
import { BRANCH_HINTS, ModuleBuilder } from '../../wasm/module.ts';
import { ValType } from '../../wasm/type.ts';
import { combineModules } from './combined-module.ts';
import { regionModule, runName } from './region-module.ts';

const { i32 } = ValType;

interface Shape {
  /** With a branch that is unlikely. */
  readonly hinted?: boolean;
  readonly imported?: string;
  readonly functions?: number;
  /** Before `run`, a function that it calls. */
  readonly shared?: number;
}

/** A module whose `run` adds `number` to what the imported function makes of its parameter. */
function adding(
  number: number,
  { hinted = false, imported = 'helper', functions = 1, shared }: Shape = {},
): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder({ check: true });
  const callee = module.importFunction('env', imported, [i32], [i32]);
  const before = shared === undefined ? undefined : module.function('shared', [i32], [i32]);
  before?.localGet(0);
  before?.i32Const(shared!);
  before?.op('i32.mul');
  const fn = module.function('run', [i32], [i32]);
  if (hinted) {
    fn.localGet(0);
    const unlikely = fn.if(undefined, BranchHint.unlikely);
    fn.i32Const(number);
    fn.return();
    fn.end(unlikely);
  }
  fn.localGet(0);
  fn.call(callee);
  if (before !== undefined) fn.call(before);
  fn.i32Const(number);
  fn.op('i32.add');
  module.exportFunction('run', fn);
  for (let more = 1; more < functions; more++) module.function('more', [], []);
  return module.encode();
}

function hintsOf(bytes: Uint8Array<ArrayBuffer>): number[] {
  return WebAssembly.Module.customSections(new WebAssembly.Module(bytes), BRANCH_HINTS).flatMap((section) => [
    ...new Uint8Array(section),
  ]);
}

test('what modules with the same imports do, the combined one does by other names', () => {
  const combined = combineModules([adding(1), adding(2, { hinted: true }), adding(3), adding(4, { hinted: true })])!;
  assert.deepEqual(combined.members, [0, 1, 2, 3]);
  const module = regionModule(combined.bytes, 4)!;
  const { exports } = new WebAssembly.Instance(module, { env: { helper: (x: number) => 10 * x } });
  const results = [0, 1, 2, 3].map((at) => [0, 5].map((x) => (exports[runName(at)] as (x: number) => number)(x)));
  assert.deepEqual(results, [
    [1, 51],
    [2, 2],
    [3, 53],
    [4, 4],
  ]);
  // The second and the fourth function, behind the imported one.
  const [, , ...hint] = hintsOf(adding(2, { hinted: true }));
  assert.deepEqual(hintsOf(combined.bytes), [2, 2, ...hint, 4, ...hint]);
});

test('what comes before the functions that modules are run by is there once, where it is the same', () => {
  const shared = 3;
  const modules = [adding(1, { shared }), adding(2, { shared: 5 }), adding(3), adding(4, { shared, hinted: true })];
  const combined = combineModules(modules)!;
  assert.deepEqual(combined.members, [0, 3]);
  const module = regionModule(combined.bytes, 2)!;
  const { exports } = new WebAssembly.Instance(module, { env: { helper: (x: number) => 10 * x } });
  const results = [0, 1].map((at) => [0, 5].map((x) => (exports[runName(at)] as (x: number) => number)(x)));
  assert.deepEqual(results, [
    [1, 151],
    [4, 4],
  ]);
});

test('modules with other imports or several functions are left out, and what is left is none when it is one', () => {
  const others = [adding(2, { imported: 'float' }), adding(3, { functions: 2 }), new Uint8Array(9), new Uint8Array()];
  assert.deepEqual(combineModules([adding(1), ...others, adding(4)])?.members, [0, 5]);
  assert.equal(combineModules([adding(1), ...others]), undefined);
  for (const first of others.slice(1)) assert.equal(combineModules([first, adding(1), adding(1)]), undefined);
  // Here `run` is the first of two.
  assert.equal(combineModules([adding(1, { functions: 2 }), adding(1, { functions: 2 })]), undefined);
  assert.equal(combineModules([]), undefined);
});

test('a module that is cut off or changed anywhere is combined to what V8 takes or refuses', () => {
  const [plain, shared] = [adding(1, { hinted: true }), adding(1, { hinted: true, shared: 2 })];
  for (const good of [plain, shared])
    for (let at = 0; at < good.length; at++) {
      const changed = good.slice();
      changed[at]! ^= 0xff;
      for (const bytes of [changed, good.slice(0, at)]) {
        const combined = combineModules([good, bytes]) ?? combineModules([bytes, good]);
        if (combined !== undefined) regionModule(combined.bytes, combined.members.length);
      }
    }
});
