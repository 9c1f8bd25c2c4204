import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { opcode, opNameOf, opNames } from './opcode.ts';
import type { OpName } from './opcode.ts';
import { sampleModule } from './sample-module.ts';

/** LLVM 14's spelling where it is not the specification's; null where it does not know the instruction. */
const LLVM_SPELLING: Partial<Record<OpName, string | null>> = {
  // Relaxed SIMD, a standard since WebAssembly 3.0.
  'f32x4.relaxed_madd': null,
  'f64x2.relaxed_madd': null,
  'ref.null': 'ref.null_func',
  'ref.is_null': null,
  'ref.func': null,
  'table.init': null,
  'elem.drop': null,
  select_t: null,
  'v128.load8x8_s': 'i16x8.load8x8_s',
  'v128.load8x8_u': 'i16x8.load8x8_u',
  'v128.load16x4_s': 'i32x4.load16x4_s',
  'v128.load16x4_u': 'i32x4.load16x4_u',
  'v128.load32x2_s': 'i64x2.load32x2_s',
  'v128.load32x2_u': 'i64x2.load32x2_u',
  'f32x4.demote_f64x2_zero': 'f32x4.demote_zero_f64x2',
  'i32x4.trunc_sat_f64x2_s_zero': 'i32x4.trunc_sat_zero_f64x2_s',
  'i32x4.trunc_sat_f64x2_u_zero': 'i32x4.trunc_sat_zero_f64x2_u',
};

test('every instruction of the table makes a module that the engine accepts', () => {
  const refused = opNames.filter((name) => !WebAssembly.validate(sampleModule(name).encode()));
  assert.deepEqual(refused, []);
  assert.equal(opNames.length, 508);
});

test('no two instructions share a code, and codes lead back to names', () => {
  for (const name of opNames) assert.equal(opNameOf(opcode[name].code), name);
});

test('an unassigned code has no name', () => {
  for (const code of [0x06, 0xff, 0xfd_09a, 0xfc_012, 0xfe_04f]) assert.equal(opNameOf(code), undefined);
});

test('the LLVM disassembler gives each code the same name', (context) => {
  const dumper = ['llvm-objdump', 'llvm-objdump-19', 'llvm-objdump-14'].find(
    (command) => spawnSync(command, ['--version']).status === 0,
  );
  if (dumper === undefined) return context.skip('llvm-objdump is not installed');
  const folder = mkdtempSync(join(tmpdir(), 'dyno-wasm-'));
  try {
    const unnamed: string[] = [];
    const files = opNames.map((name, index) => {
      const path = join(folder, `${index}.wasm`);
      writeFileSync(path, sampleModule(name).encode());
      return path;
    });
    const { stdout } = spawnSync(dumper, ['-d', ...files], { encoding: 'utf8', maxBuffer: 1 << 28 });
    const texts = stdout.split(/\n.*\d+\.wasm:\s+file format/u).slice(1);
    assert.equal(texts.length, opNames.length);
    for (const [index, name] of opNames.entries()) {
      const spellings = [name, LLVM_SPELLING[name]].filter((spelling) => typeof spelling === 'string');
      // LLVM puts an operand type, of no meaning here, before every select.
      const words = new Set(texts[index]!.replaceAll(/[fi]\d\d\.select/gu, 'select').split(/\s+/u));
      if (LLVM_SPELLING[name] !== null && !spellings.some((spelling) => words.has(spelling))) unnamed.push(name);
    }
    assert.deepEqual(unnamed, []);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
