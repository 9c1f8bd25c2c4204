import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { signExtend32 } from './integer.ts';
import {
  contains,
  extractField,
  type FieldNames,
  fitsField,
  insertField,
  matches,
  overlaps,
  parsePattern,
  PatternError,
} from './pattern.ts';

const addw = parsePattern('0000000 rs2:5 rs1:5 000 rd:5 0111011');
const branch = parsePattern('imm[12] imm[10:5] rs2:5 rs1:5 000 imm[4:1] imm[11] 1100011');

type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;
const namesOfPieces: Same<FieldNames<'imm[12] imm[10:5]:6 rs2:5 -- 0'>, 'imm' | 'rs2'> = true;
const namesOfString: Same<FieldNames<string>, string> = true;
const namesOfNone: Same<FieldNames<'0000 ---- 1111'>, never> = true;

test('field names are inferred from the literal', () => {
  assert.ok(namesOfPieces && namesOfString && namesOfNone);
  // @ts-expect-error the pattern has no field of this name
  assert.equal(addw.fields.rsl, undefined);
  assert.deepEqual(Object.keys(branch.fields), ['imm', 'rs2', 'rs1']);
});

test('addw x3, x1, x2 is taken apart and put together', () => {
  const word = 0x002081bb;
  assert.ok(matches(addw, word));
  assert.ok(!matches(addw, word ^ 0x1000));
  assert.equal(extractField(word, addw.fields.rd), 3);
  assert.equal(extractField(word, addw.fields.rs1), 1);
  assert.equal(extractField(word, addw.fields.rs2), 2);
  let built = addw.match;
  built = insertField(built, addw.fields.rd, 3);
  built = insertField(built, addw.fields.rs1, 1);
  built = insertField(built, addw.fields.rs2, 2);
  assert.equal(built, word);
});

test('a branch offset is gathered from its pieces', () => {
  // beq x0, x0, -4 is 0xfe000ee3 (RISC-V ISA Volume I, "Conditional Branches").
  const offset = extractField(0xfe000ee3, branch.fields.imm);
  assert.equal(branch.fields.imm.width, 13);
  assert.equal(signExtend32(offset, 13), -4);
  assert.equal(insertField(branch.match, branch.fields.imm, -4), 0xfe000ee3);
  assert.ok(fitsField(branch.fields.imm, 0x1ffe));
  assert.ok(!fitsField(branch.fields.imm, 1));
  assert.ok(!fitsField(branch.fields.imm, 0x2000));
  assert.ok(!fitsField(branch.fields.imm, -4));
});

test('a piece may repeat its width', () => {
  const store = parsePattern('imm[11:5]:7 rs2:5 rs1:5 010 imm[4:0]:5 0100011');
  assert.deepEqual(store.fields.imm.pieces, [
    { lo: 25, width: 7, shift: 5 },
    { lo: 7, width: 5, shift: 0 },
  ]);
});

test('bits that do not matter are neither in the mask nor the match', () => {
  const pattern = parsePattern('11-- -0-1');
  assert.equal(pattern.width, 8);
  assert.equal(pattern.mask, 0b11000101);
  assert.equal(pattern.match, 0b11000001);
  for (let byte = 0; byte < 256; byte += 1) {
    assert.equal(matches(pattern, byte), /^11...0.1$/.test(byte.toString(2).padStart(8, '0')), byte.toString(2));
  }
});

test('a field may fill the whole word and the top bit is unsigned', () => {
  const raw = parsePattern('word:32');
  assert.equal(extractField(-1, raw.fields.word), 0xffff_ffff);
  assert.equal(insertField(0, raw.fields.word, -1), 0xffff_ffff);
  const high = parsePattern('1111 rest:28');
  assert.equal(high.match, 0xf000_0000);
  assert.ok(matches(high, 0xf123_4567 | 0));
});

test('overlap and containment agree with trying every word', () => {
  const part = fc.constantFrom('0', '1', '-');
  const text = fc.array(part, { minLength: 8, maxLength: 8 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(text, text, (left, right) => {
      const a = parsePattern(left);
      const b = parsePattern(right);
      const words = Array.from({ length: 256 }, (_, word) => word);
      assert.equal(
        overlaps(a, b),
        words.some((word) => matches(a, word) && matches(b, word)),
      );
      assert.equal(
        contains(a, b),
        words.every((word) => !matches(b, word) || matches(a, word)),
      );
    }),
  );
});

test('inserting then extracting any field gives the value back and leaves the rest alone', () => {
  const names = ['imm', 'rs1', 'rs2'] as const;
  fc.assert(
    fc.property(fc.nat(0xffff_ffff), fc.nat(0x1fff), fc.constantFrom(...names), (word, value, name) => {
      const field = branch.fields[name];
      const fitted = value & (name === 'imm' ? 0x1ffe : 0x1f);
      const after = insertField(word, field, fitted);
      assert.equal(extractField(after, field), fitted);
      assert.equal(insertField(after, field, extractField(word, field)), word);
      for (const other of names) {
        if (other !== name)
          assert.equal(extractField(after, branch.fields[other]), extractField(word, branch.fields[other]));
      }
    }),
  );
});

test('a malformed pattern is refused with the offending part', () => {
  const refusals: readonly [string, RegExp][] = [
    ['', /has 0 bits/],
    ['0101', /has 4 bits/],
    ['word:33', /impossible range/],
    ['a:16 b:17', /impossible range|has 33 bits/],
    ['0000 rd', /no width for field 'rd'/],
    ['0000 rd:0', /impossible range in 'rd:0'/],
    ['0000 2d:4', /neither bits nor a field/],
    ['imm[3:5] 00000', /impossible range/],
    ['imm[5:3]:4 00000', /says 4 bits/],
    ['imm[3:0] imm[4:1]', /supplies a bit of field 'imm' twice/],
    ['rd:4 rd:4', /supplies a bit of field 'rd' twice/],
    ['imm[32] 0000000', /impossible range/],
  ];
  for (const [text, message] of refusals) {
    assert.throws(
      () => parsePattern(text),
      (error) => error instanceof PatternError && message.test(error.message),
      text,
    );
  }
});
