import { FunctionBuilder } from './function.ts';
import { ModuleBuilder } from './module.ts';
import { opcode } from './opcode.ts';
import type { OpName } from './opcode.ts';
import { ValType } from './type.ts';

/** Test fixture: modules that use one instruction each, made from the table's own signature. */

const { i32, i64, f32, f64, v128, funcref } = ValType;

/** What `sampleModule` sets up for the instruction to name. */
interface Surroundings {
  readonly fn: FunctionBuilder;
  readonly callee: FunctionBuilder;
  readonly calleeType: number;
  readonly global: number;
}

/** Instructions without a fixed signature: the fewest others around them that make a valid body without results. */
const withoutSignature: Partial<Record<OpName, (at: Surroundings) => void>> = {
  unreachable: ({ fn }) => fn.unreachable(),
  block: ({ fn }) => fn.end(fn.block()),
  loop: ({ fn }) => fn.end(fn.loop()),
  if: ({ fn }) => {
    fn.i32Const(1);
    fn.end(fn.if());
  },
  else: ({ fn }) => {
    fn.i32Const(1);
    const label = fn.if(i32);
    fn.i32Const(2);
    fn.else();
    fn.i32Const(3);
    fn.end(label);
    fn.drop();
  },
  end: ({ fn }) => fn.end(fn.block()),
  br: ({ fn }) => fn.br(fn.bodyLabel),
  br_if: ({ fn }) => {
    fn.i32Const(1);
    fn.brIf(fn.bodyLabel);
  },
  br_table: ({ fn }) => {
    const label = fn.block();
    fn.i32Const(1);
    fn.brTable([label, fn.bodyLabel], label);
    fn.end(label);
  },
  return: ({ fn }) => fn.return(),
  call: ({ fn, callee }) => fn.call(callee),
  call_indirect: ({ fn, calleeType }) => {
    fn.i32Const(0);
    fn.callIndirect(calleeType, 1);
  },
  return_call: ({ fn, callee }) => fn.returnCall(callee),
  return_call_indirect: ({ fn, calleeType }) => {
    fn.i32Const(0);
    fn.returnCallIndirect(calleeType, 1);
  },
  'ref.null': ({ fn }) => {
    fn.refNull(funcref);
    fn.drop();
  },
  'ref.is_null': ({ fn }) => {
    fn.refNull(funcref);
    fn.op('ref.is_null');
    fn.drop();
  },
  drop: ({ fn }) => {
    fn.f64Const(0.5);
    fn.drop();
  },
  select: ({ fn }) => {
    fn.i64Const(1);
    fn.i64Const(2);
    fn.i32Const(3);
    fn.select();
    fn.drop();
  },
  select_t: ({ fn }) => {
    fn.refNull(funcref);
    fn.refNull(funcref);
    fn.i32Const(3);
    fn.selectTyped(funcref);
    fn.drop();
  },
  'local.get': ({ fn }) => {
    fn.localGet(fn.local(v128));
    fn.drop();
  },
  'local.set': ({ fn }) => {
    fn.f32Const(1);
    fn.localSet(fn.local(f32));
  },
  'local.tee': ({ fn }) => {
    fn.f64Const(1);
    fn.localTee(fn.local(f64));
    fn.drop();
  },
  'global.get': ({ fn, global }) => {
    fn.globalGet(global);
    fn.drop();
  },
  'global.set': ({ fn, global }) => {
    fn.i64Const(-1n);
    fn.globalSet(global);
  },
  'table.get': ({ fn }) => {
    fn.i32Const(0);
    fn.indexed('table.get', 1);
    fn.drop();
  },
  'table.set': ({ fn }) => {
    fn.i32Const(0);
    fn.refNull(funcref);
    fn.indexed('table.set', 1);
  },
  'table.grow': ({ fn }) => {
    fn.refNull(funcref);
    fn.i32Const(0);
    fn.indexed('table.grow', 1);
    fn.drop();
  },
  'table.fill': ({ fn }) => {
    fn.i32Const(0);
    fn.refNull(funcref);
    fn.i32Const(0);
    fn.indexed('table.fill', 1);
  },
};

/** A checked module whose function 1 is called after the instruction and uses it. */
export function sampleModule(name: OpName): ModuleBuilder {
  const module = new ModuleBuilder({ check: true });
  module.memory({ initial: 1, maximum: 1, shared: true });
  module.table({ initial: 1 });
  module.table({ initial: 1, maximum: 10 });
  const global = module.global(i64, true, 5n);
  const callee = module.function('callee', [], []);
  module.elementSegment(1, 0, [callee]);
  module.dataSegment(Uint8Array.of(1, 2, 3));
  const calleeType = module.type([], []);
  const results = opcode[name].signature?.results ?? [];
  const fn = module.function(name, [], results);
  const special = withoutSignature[name];
  if (special === undefined) emitBySignature(fn, name, callee);
  else special({ fn, callee, calleeType, global });
  module.exportFunction('f', fn);
  return module;
}

function emitBySignature(fn: FunctionBuilder, name: OpName, callee: FunctionBuilder): void {
  const row = opcode[name];
  if (row.signature === undefined) throw new Error(`${name} has neither signature nor sample`);
  for (const type of row.signature.params) fn.localGet(fn.local(type));
  switch (row.immediates) {
    case 'none':
    case 'memory':
    case 'memoryMemory':
    case 'zero':
      return fn.op(name);
    case 'memarg':
      return fn.load(name, { offset: 300 });
    case 'memarg+lane':
      return fn.memoryLane(name, { offset: 16, align: 1 }, 1);
    case 'lane':
      return fn.laneOp(name, 1);
    case 'lanes16':
      return fn.shuffle(Uint8Array.from({ length: 16 }, (_, lane) => 31 - lane));
    case 'func':
      return fn.indexed(name, callee.index);
    case 'table':
      return fn.indexed(name, 1);
    case 'elem':
    case 'data':
      return fn.indexed(name, 0);
    case 'tableTable':
      return fn.indexed(name, 1, 0);
    case 'elemTable':
      return fn.indexed(name, 0, 1);
    case 'dataMemory':
      return fn.indexed(name, 0, 0);
    case 'i32':
      return fn.i32Const(-123456);
    case 'i64':
      return fn.i64ConstHalves(0x89abcdef, 0x1234567);
    case 'f32':
      return fn.f32Const(1.5);
    case 'f64':
      return fn.f64Const(-0.1);
    case 'v128':
      return fn.v128Const(Uint8Array.from({ length: 16 }, (_, lane) => lane * 17));
    default:
      throw new Error(`${name}: no sample for immediates ${row.immediates}`);
  }
}
