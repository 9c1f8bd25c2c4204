import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { disassemble } from './disassemble.ts';
import { ModuleBuilder } from './module.ts';
import { opNames } from './opcode.ts';
import { sampleModule } from './sample-module.ts';
import { ValType } from './type.ts';

const { i32, i64, f64, v128 } = ValType;

function example(): ModuleBuilder {
  const module = new ModuleBuilder({ check: true });
  const exit = module.importFunction('host', 'exit', [i32], []);
  const memory = module.importMemory('host', 'memory', { initial: 1, maximum: 65536, shared: true });
  const table = module.table({ initial: 2, maximum: 4 });
  const global = module.global(i64, true, -5n);
  const fn = module.function('switch', [i32, i64], [f64]);
  const vector = fn.local(v128);
  const outer = fn.block(f64);
  const inner = fn.loop();
  fn.localGet(0);
  const arms = fn.if(i64);
  fn.i64ConstHalves(0, 0x8000_0000);
  fn.else();
  fn.globalGet(global);
  fn.end(arms);
  fn.globalSet(global);
  fn.localGet(0);
  fn.localGet(vector);
  fn.memoryLane('v128.store8_lane', { offset: 7 }, 15);
  fn.localGet(0);
  fn.load('i32.load', { offset: 16, align: 1 });
  fn.brTable([inner], inner);
  fn.end(inner);
  fn.f64ConstBits(1, 0xfff8_0000);
  fn.end(outer);
  fn.localGet(0);
  fn.call(exit);
  fn.i32Const(-1);
  fn.callIndirect(module.type([], []), table);
  module.exportFunction('switch', fn);
  module.exportMemory('memory', memory);
  module.elementSegment(table, 1, [fn]);
  module.dataSegment(Uint8Array.of(0x61, 0), 8);
  return module;
}

const GOLDEN = `(module
  (type 0 i32 ->)
  (type 1 i32 i64 -> f64)
  (type 2 ->)
  (import "host" "exit" (func 0 (type 0)))
  (import "host" "memory" (memory 0 1 65536 shared))
  (table 0 2 4 funcref)
  (global 0 (mut i64) (i64.const -5))
  (export "switch" (func 1))
  (export "memory" (memory 0))
  (elem 0 (table 0) (i32.const 1) func 1)
  (func 1 (type 1) i32 i64 -> f64 (local v128 x1) ;; "switch"
    block (result f64)
      loop
        local.get 0
        if (result i64)
          i64.const -9223372036854775808
        else
          global.get 0
        end
        global.set 0
        local.get 0
        local.get 2
        v128.store8_lane offset=7 15
        local.get 0
        i32.load offset=16 align=1
        br_table 0 0
      end
      f64.const -nan:0x8000000000001
    end
    local.get 0
    call 0
    i32.const -1
    call_indirect 0 (type 2)
  )
  (data 0 (i32.const 8) "6100")
)
`;

test('a module reads as text', () => {
  const module = example();
  assert.equal(disassemble(module.encode({ names: true })), GOLDEN);
});

test('every instruction of the table disassembles under its name', () => {
  for (const name of opNames) {
    const lines = disassemble(sampleModule(name).encode()).split('\n');
    const words = lines.map((line) => line.trim().split(' ')[0]);
    assert.ok(words.includes(name), name);
  }
});

test('hostile bytes give a typed error or a text, never another exception', () => {
  const valid = [...opNames.filter((_, index) => index % 40 === 0).map(sampleModule), example()].map((module) =>
    module.encode({ names: true }),
  );
  const edits = fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { minLength: 1, maxLength: 4 });
  let refused = 0;
  fc.assert(
    fc.property(fc.constantFrom(...valid), edits, fc.nat(400), (bytes, changes, cut) => {
      const hostile = bytes.slice(0, Math.max(8, bytes.length - (cut % 3 === 0 ? cut : 0)));
      for (const [offset, value] of changes) hostile[8 + (offset % (hostile.length - 8 || 1))] = value;
      try {
        disassemble(hostile);
      } catch (error) {
        assert.equal((error as Error).name, 'MalformedModuleError', String((error as Error).stack));
        refused++;
      }
    }),
    { numRuns: 3000 },
  );
  assert.ok(refused > 300, `${refused} refused`);
});

test('a few bytes cannot ask for much text', () => {
  const locals = [1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7f, 0x0b];
  const header = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0];
  const text = disassemble(Uint8Array.from([...header, 10, locals.length + 2, 1, locals.length, ...locals]));
  assert.match(text, /local i32 x4294967295/u);
  const wide = new ModuleBuilder();
  for (let index = 0; index < 1000; index++)
    wide.function(
      'wide',
      Array.from({ length: 900 }, () => i64),
      [],
    );
  const many = wide.encode();
  assert.ok(disassemble(many).length < many.length * 10);
  const module = new ModuleBuilder();
  const fn = module.function('deep', [], []);
  for (let depth = 0; depth < 20_000; depth++) fn.block();
  for (let depth = 0; depth < 20_000; depth++) fn.end();
  const deep = module.encode();
  assert.ok(disassemble(deep).length < deep.length * 100);
});

test('an error says where', () => {
  assert.throws(() => disassemble(Uint8Array.of(1, 2, 3)), {
    message: 'no WebAssembly module of version 1',
    offset: 0,
  });
  const bytes = new ModuleBuilder();
  bytes.function('f', [], []).unreachable();
  const encoded = bytes.encode();
  encoded[encoded.length - 2] = 0xff;
  assert.throws(() => disassemble(encoded), {
    message: 'unknown instruction 0xff',
    where: `byte ${encoded.length - 2}`,
  });
});
