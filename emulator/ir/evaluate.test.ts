import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GUEST, PERMISSION, Permission } from '../layout/memory-map.ts';
import { FaultKind, StateOffset } from '../layout/state.ts';
import { type Environment, evaluate, type Outcome } from './evaluate.ts';
import { LinearMemory } from './evaluator-memory.ts';
import { parseBlock } from './parse.ts';
import type { RegisterFile } from './type.ts';
import { verify } from './verify.ts';

const x: RegisterFile = { name: 'x', offset: 0x100, stride: 8, count: 8, type: 'i64' };
const v: RegisterFile = { name: 'v', offset: 0x140, stride: 16, count: 4, type: 'v128' };

/** Guest pages: 0 readable and writable, 1 readable, 2 not mapped, 3 write-only, the rest not mapped; 64 KiB in all. */
const SIZE = 0x1_0000;
const image = new ArrayBuffer(GUEST + SIZE);
const guest = new DataView(image, GUEST);
new Uint8Array(image, PERMISSION).set([Permission.read | Permission.write, Permission.read, 0, Permission.write]);

function fresh(): Environment & { x: (index: number) => bigint } {
  const state = new DataView(new ArrayBuffer(0x200));
  state.setBigInt64(StateOffset.reservation, -1n, true);
  return {
    state,
    memory: new LinearMemory(image, SIZE),
    x: (index) => state.getBigUint64(x.offset + x.stride * index, true),
  };
}

function run(text: string, environment: Environment = fresh()): Outcome {
  const block = parseBlock(`insn pc=0x1000 length=4\n${text}`, { isa: 'test', files: [x, v] });
  assert.deepEqual(verify(block), [], text);
  return evaluate(block, environment);
}

test('control goes on, jumps, branches and traps', () => {
  assert.deepEqual(run('fence'), { kind: 'next', pc: 0x1004n, retired: 1 });
  assert.deepEqual(run('insn pc=0x1004 length=2'), { kind: 'next', pc: 0x1006n, retired: 2 });
  assert.deepEqual(run('%t = const.i64 0xfffffffffffffffe\njump %t'), { kind: 'jump', pc: 2n ** 64n - 2n, retired: 1 });
  assert.deepEqual(run('jump_rel displacement=-4096'), { kind: 'jump', pc: 0n, retired: 1 });
  assert.deepEqual(run('jump_rel displacement=-4098'), { kind: 'jump', pc: 2n ** 64n - 2n, retired: 1 });
  assert.deepEqual(run('%c = const.i32 0x2\nbranch %c displacement=8'), { kind: 'jump', pc: 0x1008n, retired: 1 });
  assert.deepEqual(run('%c = const.i32 0x0\nbranch %c displacement=8'), { kind: 'next', pc: 0x1004n, retired: 1 });
  const trap = { kind: 'trap', cause: 3, value: 7n, pc: 0x1000n, retired: 0 };
  assert.deepEqual(run('%v = const.i64 0x7\ntrap %v cause=3'), trap);
  assert.deepEqual(run('%c = const.i32 0x1\n%v = const.i64 0x7\ntrap_if %c, %v cause=3\njump %v'), trap);
  assert.equal(run('%c = const.i32 0x0\n%v = const.i64 0x7\ntrap_if %c, %v cause=3\njump %v').kind, 'jump');
});

test('what came before a trap in an earlier instruction stays, and it counts', () => {
  const environment = fresh();
  const outcome = run('%v = const.i64 0x7\nset.i64 x1, %v\ninsn pc=0x1004 length=4\ntrap %v cause=3\n', environment);
  assert.deepEqual(outcome, { kind: 'trap', cause: 3, value: 7n, pc: 0x1004n, retired: 1 });
  assert.equal(environment.x(1), 7n);
});

test('narrow registers are the low parts of wide ones', () => {
  const environment = fresh();
  run('%a = const.i64 0x1111111122222222\nset.i64 x1, %a\n%b = const.i32 0xffffffff\nset.i32 x1, %b', environment);
  assert.equal(environment.x(1), 0x1111_1111_ffff_ffffn);
  run('%a = get.i32 x1\n%b = widen_s.i64 %a\nset.i64 x2, %b', environment);
  assert.equal(environment.x(2), 2n ** 64n - 1n);
  run(
    '%a = const.v128 0xaaaabbbbccccddddeeee111122223333\nset.v128 v1, %a\n%b = const.i64 0x0\nset.i64 v1, %b',
    environment,
  );
  run('%a = get.v128 v1\n%h = v_extract.i64x2 %a lane=1\nset.i64 x3, %h\n%l = get.i64 v1\nset.i64 x4, %l', environment);
  assert.deepEqual([environment.x(3), environment.x(4)], [0xaaaa_bbbb_cccc_ddddn, 0n]);
});

test('loads extend, stores cut, both at any address inside the permitted pages', () => {
  guest.setBigUint64(0xff8, 0x8070_6050_c0b0_a090n, true);
  guest.setBigUint64(0x1000, 0x0102_0304_0506_0708n, true);
  const results: readonly [string, bigint][] = [
    ['%r = load.i64 %a width=8 signed', 0xffff_ffff_ffff_ff90n],
    ['%r = load.i64 %a width=16', 0xa090n],
    ['%n = load.i32 %a width=16 signed\n%r = widen_u.i64 %n', 0xffff_a090n],
    ['%r = load.i64 %a width=32 signed', 0xffff_ffff_c0b0_a090n],
    ['%r = load.i64 %a width=64', 0x8070_6050_c0b0_a090n],
    ['%f = load.f64 %a width=64\n%r = bitcast.i64 %f from=f64', 0x8070_6050_c0b0_a090n],
    ['%q = load.v128 %a width=128\n%r = v_extract.i64x2 %q lane=1', 0x0102_0304_0506_0708n],
    ['%q = load.v128 %a width=32\n%r = v_extract.i64x2 %q lane=0', 0xc0b0_a090n],
    ['%one = const.i64 0x4\n%c = add.i64 %a, %one\n%r = load.i64 %c width=64', 0x0506_0708_8070_6050n],
  ];
  for (const [text, expected] of results) {
    const environment = fresh();
    assert.equal(run(`%a = const.i64 0xff8\n${text}\nset.i64 x1, %r`, environment).kind, 'next');
    assert.equal(environment.x(1), expected, text);
  }
  run('%a = const.i64 0x101\n%b = const.i64 0x1122334455667788\nstore.i64 %a, %b width=32\ninsn pc=0x0 length=4');
  assert.equal(guest.getBigUint64(0x100, true), 0x55_6677_8800n);
});

test('an access that may not be made faults as a whole', () => {
  const before = new Uint8Array(image.slice(GUEST));
  const faults: readonly [address: bigint, op: string, fault: FaultKind, width: number][] = [
    [0x2000n, '%r = load.i64 %a width=8', FaultKind.load, 1],
    [0x1ffdn, '%r = load.i64 %a width=32', FaultKind.load, 4],
    [0x3000n, '%r = load.i64 %a width=8', FaultKind.load, 1],
    [0x1000n, 'store.i64 %a, %a width=8', FaultKind.store, 1],
    [0xffcn, 'store.i64 %a, %a width=64', FaultKind.store, 8],
    [0xffffn, 'store.i64 %a, %a width=16', FaultKind.store, 2],
    [0x1_0000n, '%r = load.i64 %a width=8', FaultKind.load, 1],
    [2n ** 64n - 4n, '%r = load.i64 %a width=64', FaultKind.load, 8],
    [0x1_0000_0000n, 'store.i64 %a, %a width=64', FaultKind.store, 8],
    [0x1002n, '%r = load.i64 %a width=32 alignment=natural', FaultKind.loadMisaligned, 4],
    [0x2001n, 'store.i64 %a, %a width=16 alignment=natural', FaultKind.storeMisaligned, 2],
    [0x4n, '%r = load_reserved.i64 %a width=64', FaultKind.loadMisaligned, 8],
    [0x2000n, '%r = load_reserved.i64 %a width=64', FaultKind.load, 8],
    [0x4n, '%r = store_conditional.i64 %a, %a width=64', FaultKind.storeMisaligned, 8],
    [0x1000n, '%r = store_conditional.i64 %a, %a width=64', FaultKind.store, 8],
    [0x3000n, '%r = store_conditional.i64 %a, %a width=64', FaultKind.store, 8],
    [0x1000n, '%r = atomic_rmw.i64 %a, %a width=32 rmw=add', FaultKind.store, 4],
    [0x3000n, '%r = atomic_cas.i64 %a, %a, %a width=32', FaultKind.store, 4],
    [0x2n, '%r = atomic_rmw.i64 %a, %a width=32 rmw=add', FaultKind.storeMisaligned, 4],
  ];
  for (const [address, op, fault, width] of faults) {
    const outcome = run(`%a = const.i64 0x${address.toString(16)}\n${op}`);
    assert.deepEqual(outcome, { kind: 'fault', fault, address, width, pc: 0x1000n, retired: 0 }, op);
  }
  assert.deepEqual(new Uint8Array(image.slice(GUEST)), before);
});

test('atomics give the old value and store the new one', () => {
  const old = 0xffff_fff0n;
  const results: readonly [string, bigint][] = [
    ['add', 0xffff_fff3n],
    ['and', 0n],
    ['or', 0xffff_fff3n],
    ['xor', 0xffff_fff3n],
    ['xchg', 3n],
    ['minS', old],
    ['maxS', 3n],
    ['minU', 3n],
    ['maxU', old],
  ];
  for (const [rmw, expected] of results) {
    guest.setBigUint64(0x200, 0xabcd_0000_0000_0000n | old, true);
    const environment = fresh();
    run(
      `%a = const.i64 0x200\n%b = const.i64 0x7700000003\n%r = atomic_rmw.i64 %a, %b width=32 rmw=${rmw}\nset.i64 x1, %r`,
      environment,
    );
    assert.equal(environment.x(1), 0xffff_ffff_ffff_fff0n, rmw);
    assert.equal(guest.getBigUint64(0x200, true), 0xabcd_0000_0000_0000n | expected, rmw);
  }
  const cas = (expected: string) => {
    guest.setBigUint64(0x200, 0xff00_0080n, true);
    const environment = fresh();
    run(
      `%a = const.i64 0x200\n%e = const.i64 ${expected}\n%n = const.i64 0x1234\n%r = atomic_cas.i64 %a, %e, %n width=16\nset.i64 x1, %r`,
      environment,
    );
    return [environment.x(1), guest.getBigUint64(0x200, true)];
  };
  assert.deepEqual(cas('0x990080'), [0x80n, 0xff00_1234n]);
  assert.deepEqual(cas('0x81'), [0x80n, 0xff00_0080n]);
});

test('a conditional store needs the reservation and the value loaded with it', () => {
  const pair = (between: string, address = '0x200') => {
    guest.setBigUint64(0x200, 0x8000_0005n, true);
    guest.setBigUint64(0x208, 0x8000_0005n, true);
    const environment = fresh();
    run(
      `%a = const.i64 0x200\n%o = load_reserved.i64 %a width=32\n${between}\n%b = const.i64 ${address}\n%n = const.i64 0x9\n` +
        '%r = store_conditional.i64 %b, %n width=32\n%again = store_conditional.i64 %b, %n width=32\n' +
        '%w = widen_u.i64 %r\n%w2 = widen_u.i64 %again\nset.i64 x1, %w\nset.i64 x2, %w2\nset.i64 x3, %o',
      environment,
    );
    return [environment.x(1), environment.x(2), environment.x(3), guest.getBigUint64(0x200, true)];
  };
  assert.deepEqual(pair(''), [0n, 1n, 0xffff_ffff_8000_0005n, 9n]);
  assert.deepEqual(pair('', '0x208'), [1n, 1n, 0xffff_ffff_8000_0005n, 0x8000_0005n]);
  assert.deepEqual(pair('store.i64 %a, %a width=8'), [1n, 1n, 0xffff_ffff_8000_0005n, 0x8000_0000n]);
});

test('flags accrue and helpers are called with what was retired', () => {
  const environment = fresh();
  const calls: unknown[] = [];
  const helper: NonNullable<Environment['helper']> = (name, args, retired) => {
    calls.push([name, args, retired]);
    return name === 'refuse' ? { trap: 2, value: 9n } : { result: -1n };
  };
  run(
    '%one = const.f64 0x3ff0000000000000\n%zero = const.f64 0x0\n%rm = const.i32 0x0\n%q = fdiv.f64 %one, %zero, %rm\n' +
      '%three = const.f64 0x4008000000000000\n%t = fdiv.f64 %one, %three, %rm',
    environment,
  );
  assert.equal(environment.state.getUint32(StateOffset.floatFlags, true), 8 | 1);
  const outcome = run(
    'insn pc=0x1004 length=4\n%a = const.i64 0x5\n%r = call.i64 @give, %a, %a\nset.i64 x1, %r\ninsn pc=0x1008 length=4\ncall @refuse',
    { ...environment, helper },
  );
  assert.deepEqual(calls, [
    ['give', [5n, 5n], 1],
    ['refuse', [], 2],
  ]);
  assert.deepEqual(outcome, { kind: 'trap', cause: 2, value: 9n, pc: 0x1008n, retired: 2 });
  assert.equal(environment.x(1), 2n ** 64n - 1n);
});

test('blocks with symbolic operands take them from the fields', () => {
  const environment = fresh();
  const text =
    '%i = field.i64 {imm} signed\n%u = field.i64 {uimm}\n%s = add.i64 %i, %u\n%p = pc.i64\n%n = next_pc.i64\n%d = sub.i64 %n, %p\nset.i64 x{rd}, %s\nset.i64 x5, %d\njump_rel displacement={offset}';
  const outcome = run(text, { ...environment, pc: 0x4000n, fields: { imm: -3, uimm: -1, rd: 2, offset: -16 } });
  assert.deepEqual(outcome, { kind: 'jump', pc: 0x3ff0n, retired: 1 });
  assert.equal(environment.x(2), 0xffff_fffcn);
  assert.equal(environment.x(5), 4n);
});
