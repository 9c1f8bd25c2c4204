import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../bits/float-operands.ts';
import { accessOp } from '../ir/make-op.ts';
import { Random } from '../ir/random.ts';
import type { Type } from '../ir/type.ts';
import { STATE } from '../layout/memory-map.ts';
import { ExitReason, FaultKind, StateOffset } from '../layout/state.ts';
import { PrivilegeMode } from '../memory/regime.ts';
import { halves, RAM, TestMachine } from '../memory/test-machine.ts';
import type { FunctionBuilder } from '../wasm/function.ts';
import { ModuleBuilder } from '../wasm/module.ts';
import { ValType } from '../wasm/type.ts';
import type { Lowering } from './lower.ts';
import { tlbImports } from './tlb-imports.ts';
import { importTlbSlowPaths, TlbMemoryPath } from './tlb-path.ts';

/** Where the functions under test find address and value, and leave what they loaded: a part of the state that nothing else uses. */
const ADDRESS = STATE + 0x1f00;
const VALUE = STATE + 0x1f10;
const RESULT = STATE + 0x1f20;
/** Returned by an inline access that leaves the work to its twin. */
const BAILED = 99;

type Kind = 'load' | 'store' | 'update' | 'reserve' | 'storeForUpdate';
interface Access {
  readonly kind: Kind;
  readonly type: Type;
  readonly width: number;
  readonly signed: boolean;
  readonly natural: boolean;
}

const ACCESSES: readonly Access[] = [
  ...[8, 16, 32, 64].flatMap((width) =>
    [false, true].flatMap((natural) => [
      { kind: 'load' as const, type: 'i64' as const, width, signed: false, natural },
      { kind: 'load' as const, type: 'i64' as const, width, signed: true, natural },
      { kind: 'store' as const, type: 'i64' as const, width, signed: false, natural },
    ]),
  ),
  { kind: 'load', type: 'i32', width: 16, signed: true, natural: false },
  { kind: 'load', type: 'v128', width: 128, signed: false, natural: false },
  { kind: 'store', type: 'v128', width: 128, signed: false, natural: true },
  { kind: 'load', type: 'f64', width: 64, signed: false, natural: false },
  { kind: 'store', type: 'f32', width: 32, signed: false, natural: false },
  ...[32, 64].flatMap((width) =>
    (['update', 'reserve', 'storeForUpdate'] as const).map((kind) => ({
      kind,
      type: 'i64' as const,
      width,
      signed: true,
      natural: true,
    })),
  ),
];

/** As much of a Lowering as a memory path uses: two operands, value 0 the address and value 1 what is stored. */
function loweringFor(fn: FunctionBuilder, type: Type, inline: boolean): Lowering {
  const leave = (reason: number): void => {
    fn.i32Const(reason);
    fn.return();
  };
  return {
    fn,
    site: {
      inline,
      leave,
      bailIf: () => {
        const bail = fn.if();
        leave(BAILED);
        fn.end(bail);
      },
    },
    scratch: (types: readonly Type[], body: (...locals: number[]) => void) => {
      const locals = types.map((each) => fn.takeLocal(ValType[each]));
      body(...locals);
      for (const local of locals) fn.freeLocal(local);
    },
    push: (value: number) => {
      fn.i32Const(0);
      fn.load(value === 0 ? 'i64.load' : (`${type}.load` as 'i64.load'), { offset: value === 0 ? ADDRESS : VALUE });
    },
  } as unknown as Lowering;
}

function emit(path: TlbMemoryPath, fn: FunctionBuilder, access: Access, inline: boolean): void {
  const { kind, type, width, signed, natural } = access;
  const lowering = loweringFor(fn, type, inline);
  const alignment = natural ? 'natural' : 'any';
  const op = accessOp(kind === 'store' ? 'store' : 'load', type, [0, 1], width, signed, { alignment });
  const loaded = fn.local(ValType[type]);
  switch (kind) {
    case 'load':
      path.load(lowering, op);
      break;
    case 'store':
      path.store(lowering, op);
      break;
    case 'storeForUpdate': {
      const [address, value] = [fn.local(ValType.i64), fn.local(ValType.i64)];
      lowering.push(0);
      fn.localSet(address);
      lowering.push(1);
      fn.localSet(value);
      path.storeForUpdate(lowering, address, width, value);
      break;
    }
    default: {
      const address = fn.local(ValType.i64);
      lowering.push(0);
      fn.localSet(address);
      path.loadForUpdate(lowering, address, width, kind);
    }
  }
  if (kind !== 'store' && kind !== 'storeForUpdate') {
    fn.localSet(loaded);
    fn.i32Const(0);
    fn.localGet(loaded);
    fn.store(`${type}.store` as 'i64.store', { offset: RESULT });
  }
  fn.i32Const(0);
}

/** Functions for every access, once with its slow path and once inline. */
class Generated {
  readonly machine: TestMachine;
  readonly view: DataView;
  readonly #written: readonly (() => number)[];
  readonly #inline: readonly (() => number)[];

  constructor(machine: TestMachine) {
    this.machine = machine;
    this.view = new DataView(machine.memory.buffer);
    const module = new ModuleBuilder({ check: true });
    const slow = importTlbSlowPaths(module);
    module.importMemory('env', 'memory', { initial: machine.memory.buffer.byteLength / 65536 });
    const path = new TlbMemoryPath(slow);
    for (const inline of [false, true]) {
      ACCESSES.forEach((access, i) => {
        const fn = module.function(`access${i}`, [], [ValType.i32]);
        emit(path, fn, access, inline);
        module.exportFunction(`${inline ? 'inline' : 'written'}${i}`, fn);
      });
    }
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.encode()), {
      env: { memory: machine.memory, ...tlbImports(machine.memory, machine.mmu) },
    });
    const named = (name: string) => ACCESSES.map((_, i) => exports[`${name}${i}`] as () => number);
    this.#written = named('written');
    this.#inline = named('inline');
  }

  run(which: number, inline: boolean, va: bigint, value: bigint): number {
    this.view.setBigUint64(ADDRESS, va, true);
    this.view.setBigUint64(VALUE, BigInt.asUintN(64, value), true);
    this.view.setBigUint64(VALUE + 8, value >> 64n, true);
    return (inline ? this.#inline : this.#written)[which]!();
  }

  loaded({ type }: Access): bigint {
    const low = this.view.getBigUint64(RESULT, true);
    if (type === 'v128') return (this.view.getBigUint64(RESULT + 8, true) << 64n) | low;
    return type === 'i32' ? low & 0xffff_ffffn : low;
  }
}

const SIZE = 1 << 18;
const WINDOW = 0xffff_ffc0_0000_0000n;
/** Pages of the window: two to read and write, one to read, one that is not there, two more, and one of another mode's. */
const PAGES = [0xcfn, 0xcfn, 0x43n, 0n, 0xcfn, 0xc7n, 0xdfn];

function machineWithWindow(): TestMachine {
  const machine = new TestMachine(SIZE);
  const root = RAM + SIZE - 4096;
  let next = root;
  PAGES.forEach((flags, i) => {
    if (flags === 0n) return;
    machine.map(3, root, WINDOW + 4096n * BigInt(i), RAM + 4096 * (2 * i + 3), 0, flags, () => (next -= 4096));
  });
  machine.usePageTable(3, root, PrivilegeMode.supervisor);
  return machine;
}

/** The model: page by page what the flags say, bytes in a plain array. */
function permitted(page: number, write: boolean): boolean {
  const flags = PAGES[page] ?? 0n;
  return (flags & (write ? 5n : 3n)) === (write ? 5n : 3n) && (flags & 16n) === 0n;
}

test('every access does through the TLB what page flags and plain bytes say, hit or miss', (context) => {
  const seed = testSeed();
  context.diagnostic(`SEED=${seed}`);
  const random = new Random(seed);
  const generated = new Generated(machineWithWindow());
  const { machine } = generated;
  const model = new Uint8Array(PAGES.length * 4096);
  for (let i = 0; i < model.length; i++) model[i] = random.below(256);
  PAGES.forEach((_, i) => {
    new Uint8Array(machine.ram.buffer, machine.ram.byteOffset + 4096 * (2 * i + 3), 4096).set(
      model.subarray(4096 * i, 4096 * (i + 1)),
    );
  });
  const seen = { hits: 0, bails: 0, faults: 0, misaligned: 0 };
  for (let step = 0; step < 30_000; step++) {
    const which = random.below(ACCESSES.length);
    const access = ACCESSES[which]!;
    const bytes = access.width / 8;
    const spread = random.chance(30) ? random.pick([4095, 4096 - bytes, 4096 - bytes + 1, 0]) : random.below(4096);
    const offset = random.below(PAGES.length) * 4096 + (random.chance(60) ? spread - (spread % bytes) : spread);
    const va = WINDOW + BigInt(offset);
    const value = (random.next() << 64n) | random.next();
    const write = access.kind === 'store' || access.kind === 'storeForUpdate';
    const needsWrite = write || access.kind === 'update';
    const inline = random.chance(30);
    const what = `seed ${seed}, step ${step}: ${JSON.stringify(access)} at +${offset}${inline ? ', inline' : ''}`;
    if (random.chance(1)) machine.mmu.fence(undefined);
    if (random.chance(20)) machine.mmu.l1.flushAll();
    const status = generated.run(which, inline, va, value);
    if (status === BAILED) {
      assert.ok(inline, what);
      seen.bails++;
      continue;
    }
    let fault: { cause: number; at: bigint } | undefined;
    if (access.natural && offset % bytes !== 0) {
      fault = { cause: needsWrite ? FaultKind.storeMisaligned : FaultKind.loadMisaligned, at: va };
      seen.misaligned++;
    } else {
      for (const at of [offset, offset + bytes - 1]) {
        const page = Math.floor(at / 4096);
        if (permitted(page, needsWrite)) continue;
        const start = at === offset ? offset : page * 4096;
        fault = { cause: needsWrite ? FaultKind.storePage : FaultKind.loadPage, at: WINDOW + BigInt(start) };
        break;
      }
    }
    if (fault !== undefined) {
      seen.faults++;
      assert.equal(status, ExitReason.fault, what);
      const { view } = generated;
      const left = {
        cause: view.getInt32(STATE + StateOffset.cause, true),
        at: view.getBigUint64(STATE + StateOffset.value, true),
      };
      assert.deepEqual(left, fault, what);
      assert.equal(view.getInt32(STATE + StateOffset.faultWidth, true), bytes, what);
      continue;
    }
    assert.equal(status, 0, what);
    seen.hits++;
    if (write) {
      for (let i = 0; i < bytes; i++) model[offset + i] = Number((value >> BigInt(8 * i)) & 255n);
      continue;
    }
    let expected = 0n;
    for (let i = bytes - 1; i >= 0; i--) expected = (expected << 8n) | BigInt(model[offset + i]!);
    if (access.signed)
      expected = BigInt.asUintN(access.type === 'i32' ? 32 : 64, BigInt.asIntN(access.width, expected));
    assert.equal(generated.loaded(access), expected, what);
  }
  context.diagnostic(JSON.stringify(seen));
  assert.ok(machine.mmu.counters.l2Hits > 1000, 'the second level is used');
  assert.ok(
    Object.values(seen).every((count) => count > 300),
    JSON.stringify(seen),
  );
  PAGES.forEach((flags, i) => {
    if (flags === 0n) return;
    const actual = new Uint8Array(machine.ram.buffer, machine.ram.byteOffset + 4096 * (2 * i + 3), 4096);
    assert.deepEqual(actual, model.subarray(4096 * i, 4096 * (i + 1)), `page ${i}`);
  });
  machine.mmu.checkInvariants();
});

test('an inline access is served once the page is known, and only in its mode', () => {
  const generated = new Generated(machineWithWindow());
  const { machine } = generated;
  const load = ACCESSES.findIndex(({ kind, width, natural }) => kind === 'load' && width === 64 && !natural);
  const store = ACCESSES.findIndex(({ kind, width, natural }) => kind === 'store' && width === 64 && !natural);
  assert.equal(generated.run(load, true, WINDOW, 0n), BAILED, 'a cold TLB');
  assert.equal(generated.run(load, false, WINDOW, 0n), 0);
  for (const [offset, status] of [
    [0n, 0],
    [3n, 0],
    [4088n, 0],
    [4089n, BAILED],
    [4096n, BAILED],
    [4096n * 1024n, BAILED],
    [1n << 40n, BAILED],
  ] as const) {
    assert.equal(generated.run(load, true, BigInt.asUintN(64, WINDOW + offset), 0n), status, `${offset}`);
  }
  const misses = machine.mmu.counters.l1Misses;
  assert.equal(generated.run(store, false, WINDOW, 5n), 0);
  assert.equal(machine.mmu.counters.l1Misses, misses, 'a page that is dirty is entered for stores at once');
  machine.usePageTable(3, RAM + SIZE - 4096, PrivilegeMode.user);
  assert.equal(generated.run(load, true, WINDOW, 0n), BAILED, 'user mode has a table of its own');
  assert.equal(generated.run(load, false, WINDOW, 0n), ExitReason.fault);
  machine.usePageTable(3, RAM + SIZE - 4096, PrivilegeMode.supervisor);
  assert.equal(generated.run(load, true, WINDOW, 0n), 0, 'and supervisor mode still has its own');
  machine.mmu.protectCode(machine.mmu.translate(...halves(WINDOW), 1, 1) >>> 0);
  assert.equal(generated.run(store, true, WINDOW, 0n), BAILED, 'code has been decoded from the page');
  assert.equal(generated.run(load, true, WINDOW, 0n), 0);
  machine.mmu.fence(undefined);
  assert.equal(generated.run(load, true, WINDOW, 0n), BAILED);
});

test('tables that nothing has been entered in serve no address, not even those that run on to 0', () => {
  const generated = new Generated(machineWithWindow());
  ACCESSES.forEach((access, which) => {
    for (const page of [0n, 0xfffn, 0xffff_f000n, 0x1_0000_0000n, WINDOW, 2n ** 64n - 4096n]) {
      for (const offset of [0n, 8n, 4080n, 4089n, 4095n]) {
        const status = generated.run(which, true, page + offset, 0n);
        assert.equal(status, BAILED, `${JSON.stringify(access)} at ${page + offset}`);
      }
    }
  });
});
