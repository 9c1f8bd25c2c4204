import assert from 'node:assert/strict';
import type { FunctionBuilder } from '../../emulator/wasm/function.ts';
import { ModuleBuilder } from '../../emulator/wasm/module.ts';
import { ValType } from '../../emulator/wasm/type.ts';
import { defineBench } from '../harness/define-bench.ts';

/** Rounds of `emitRound` in one function: about what a block of 100 guest instructions becomes. */
const ROUNDS = 50;
/** Instructions that one round writes, and that one function has besides: its result and its end. */
const PER_ROUND = 13;
const BESIDES = 2;

/** What lowering a load, some arithmetic, a guarded store and a write to a register emits. */
function emitRound(fn: FunctionBuilder, round: number): void {
  fn.localGet(0);
  fn.load('i64.load', { offset: 8 * (round & 31) });
  fn.localTee(1);
  fn.i64Const(round * 1_000_003);
  fn.op('i64.mul');
  fn.localSet(1);
  const skip = fn.block();
  fn.localGet(0);
  fn.brIf(skip);
  fn.localGet(0);
  fn.localGet(1);
  fn.store('i64.store', { offset: 8 * (round & 31) });
  fn.end(skip);
}

function build(): { module: ModuleBuilder; fn: FunctionBuilder } {
  const module = new ModuleBuilder();
  module.memory({ initial: 1 });
  const fn = module.function('f', [ValType.i32], [ValType.i64]);
  fn.local(ValType.i64);
  for (let round = 0; round < ROUNDS; round++) emitRound(fn, round);
  fn.localGet(1);
  module.exportFunction('f', fn);
  return { module, fn };
}

defineBench({
  id: 'wasm/function/emit',
  title: 'emit a function',
  unit: 'ns/instruction',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  work: () => build().fn,
  items: () => ROUNDS * PER_ROUND + BESIDES,
  check: (_, fn) => {
    assert.equal((fn as FunctionBuilder).operators, ROUNDS * PER_ROUND + BESIDES - 1);
    assert(WebAssembly.validate(build().module.encode()));
  },
  counters: () => {
    const { module, fn } = build();
    return { instructions: fn.operators, 'code-bytes': fn.byteLength, 'module-bytes': module.encode().length };
  },
});

defineBench({
  id: 'wasm/module/encode',
  title: 'emit a function and encode its module',
  unit: 'µs',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  work: () => build().module.encode(),
  check: (_, bytes) => assert(WebAssembly.validate(bytes as Uint8Array<ArrayBuffer>)),
});
