import assert from 'node:assert/strict';
import test from 'node:test';
import { STATE } from '../../layout/memory-map.ts';
import { ExitReason, StateOffset } from '../../layout/state.ts';
import { ModuleBuilder } from '../../wasm/module.ts';
import { ValType } from '../../wasm/type.ts';
import { Frame } from '../interpreter/frame.ts';
import { Dispatcher, NO_REGION } from './dispatcher.ts';
import { Status } from './status.ts';

const { i32 } = ValType;
/** Where a countdown lies that no part of the engine uses. */
const LEFT = 0x3800;
const EXIT = 1;

/** A region that goes on at `next`, or leaves by its first exit once the countdown is over. */
function regionGoingTo(next: number, memory: WebAssembly.Memory): WebAssembly.ExportValue {
  const module = new ModuleBuilder();
  module.importMemory('env', 'memory', { initial: 1 });
  const fn = module.function('region', [i32], [i32]);
  fn.i32Const(0);
  fn.i64Const(next);
  fn.store('i64.store', { offset: STATE + StateOffset.pc });
  fn.i32Const(0);
  fn.i32Const(0);
  fn.load('i32.load', { offset: LEFT });
  fn.i32Const(1);
  fn.op('i32.sub');
  fn.store('i32.store', { offset: LEFT });
  fn.i32Const(0);
  fn.load('i32.load', { offset: LEFT });
  fn.op('i32.eqz');
  module.exportFunction('region', fn);
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.encode()), { env: { memory } });
  return instance.exports['region']!;
}

test('two regions whose addresses have the same low bits both stay in the jump cache', () => {
  const memory = new WebAssembly.Memory({ initial: 64 });
  const dispatcher = new Dispatcher(memory, 2, () => 0, 3, false);
  const addresses = [0x1_0000, 0x1_2000];
  for (const [index, pc] of addresses.entries()) {
    dispatcher.table.set(index, regionGoingTo(addresses[1 - index]!, memory));
    dispatcher.cache(pc, index, 1, []);
  }
  const view = new DataView(memory.buffer);
  view.setInt32(LEFT, 1001, true);
  assert.equal(dispatcher.run(0, 1), EXIT);
  assert.deepEqual([dispatcher.takeChained(), dispatcher.takeMissed()], [1000, 0]);
  assert.deepEqual(
    addresses.map((_, index) => dispatcher.takeUses(index)),
    [500, 500],
  );

  // A third one takes the place of one of them, and what is forgotten is found no more.
  dispatcher.cache(0x1_4000, 0, 1, []);
  dispatcher.forget(0x1_2000);
  view.setInt32(LEFT, 100, true);
  dispatcher.run(0, 1);
  assert.deepEqual([dispatcher.takeChained(), dispatcher.takeMissed() > 0], [0, true]);
});

test('without a region the interpreter begins, and goes on in the region that it comes to', () => {
  const memory = new WebAssembly.Memory({ initial: 64 });
  const view = new DataView(memory.buffer);
  const pc = 0x1_0000;
  let reason: ExitReason = ExitReason.budget;
  // It comes to that address whatever it ends with.
  const interpret = () => {
    view.setBigInt64(STATE + StateOffset.pc, BigInt(pc), true);
    return reason;
  };
  const dispatcher = new Dispatcher(memory, 2, interpret, 3, false);
  const run = () => dispatcher.run(NO_REGION, 0);
  dispatcher.table.set(5, regionGoingTo(pc, memory));
  assert.equal(run(), Status.interpreted | ExitReason.budget);
  reason = ExitReason.miss;
  assert.equal(run(), Status.interpreted | ExitReason.miss);
  dispatcher.cache(pc, 5, 1, []);
  view.setInt32(LEFT, 3, true);
  assert.equal(run(), EXIT);
  assert.deepEqual([dispatcher.lastIndex, dispatcher.takeChained(), dispatcher.takeUses(5)], [5, 3, 3]);
});

test('instructions that the interpreter has retired are counted, and those that a stop has withheld are not', () => {
  const memory = new WebAssembly.Memory({ initial: 64 });
  const words = new Int32Array(memory.buffer);
  const stop = () => {
    words[Frame.withheld / 4]! += words[Frame.budget / 4]!;
    words[Frame.budget / 4] = 0;
  };
  const interpret = (retired: number, stops: boolean) => () => {
    words[Frame.budget / 4]! -= retired;
    if (stops) stop();
    return ExitReason.budget;
  };
  for (const [retired, stops, stoppedBefore] of [
    [7, false, false],
    [7, true, false],
    [0, false, true],
  ] as const) {
    const dispatcher = new Dispatcher(memory, 2, interpret(retired, stops), 3, false);
    words[Frame.budget / 4] = 1000;
    words[Frame.withheld / 4] = 0;
    if (stoppedBefore) stop();
    assert.equal(dispatcher.run(NO_REGION, 0), Status.interpreted | ExitReason.budget);
    assert.equal(dispatcher.takeInterpreted(), retired, `${retired} ${stops} ${stoppedBefore}`);
  }
});
