import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Builder } from '../../ir/builder.ts';
import { verify } from '../../ir/verify.ts';
import { hasModRm, immediateBytes, MAXIMUM_LENGTH } from './encoding.ts';
import { x86_64 } from './index.ts';
import { X86_64, type X86Row } from './rows.ts';

const PC = 0x1000n;
/** ModRM bytes of every mode: register, base, displacement 8 and 32, SIB, absolute and rip-relative. */
const MODRM = [0xc0, 0xc3, 0xc4, 0xc7, 0x00, 0x03, 0x05, 0x41, 0x45, 0x86, 0x04, 0x44, 0x84];
const SIB = [0x00, 0x24, 0x25, 0x4b, 0x8d, 0xd1, 0x65, 0xfd];
const HEADS = [[], [0x66], [0x40], [0x41], [0x44], [0x48], [0x4d], [0x42], [0x4f], [0x66, 0x45]];
const TAILS = [
  [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  [0x7f, 0xff, 0xff, 0x7f, 0x80, 0, 0, 0x80, 1, 2, 3, 4],
  [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
];

/** Bytes that begin with an instruction of the row, over prefixes, addressing modes and immediates. */
function* encodings(row: X86Row): Generator<Uint8Array> {
  const places = hasModRm(row.form)
    ? MODRM.flatMap((modRm) =>
        [0x00, 0x18, 0x28, 0x38].flatMap((reg) => {
          const byte = row.digit === undefined ? modRm | reg : modRm | (row.digit << 3);
          const withSib = (byte & 7) === 4 && byte < 0xc0;
          return withSib ? SIB.map((sib) => [byte, sib]) : [[byte]];
        }),
      )
    : [[]];
  for (const head of HEADS)
    for (const place of places)
      for (const tail of TAILS)
        yield Uint8Array.from([...head, ...(row.twoByte ? [0x0f] : []), row.opcode, ...place, ...tail]);
}

/** The operands that every encoding of one instruction has alike: not prefixes, nor register bits where the opcode goes on. */
function meaning(row: X86Row, operands: Readonly<Record<string, number>>): Record<string, number> {
  const ignored = ['rex', 'narrow', 'length'];
  if (row.digit !== undefined) ignored.push('reg');
  if (!hasModRm(row.form) && row.form !== 'r,imm' && row.form !== 'opcode-r') ignored.push('rm');
  return Object.fromEntries(Object.entries(operands).filter(([name]) => !ignored.includes(name)));
}

test('every encoding shows a line that assembles to the same instruction, no longer than it was', (t) => {
  let count = 0;
  for (const row of X86_64) {
    let decodedHere = 0;
    const all = [...encodings(row)];
    for (const [index, bytes] of all.entries()) {
      // Of the many of a row with ModRM, every seventh: no period of the lists above divides seven.
      if (all.length > 100 && index % 7 !== 0) continue;
      const decoded = x86_64.decode(bytes, 0);
      if (decoded === undefined) continue;
      assert.equal(decoded.row, row);
      const line = x86_64.disassemble(decoded, PC);
      const again = x86_64.assemble(line, PC);
      assert.ok(again instanceof Uint8Array, `${row.name}: ${line}: ${JSON.stringify(again)}`);
      assert.ok(again.length <= decoded.length || row.form.startsWith('rel'), line);
      const back = x86_64.decode(again, 0);
      assert.ok(back, line);
      assert.equal(back.length, again.length);
      assert.equal(x86_64.disassemble(back, PC), line);
      if (back.row === row && !row.form.startsWith('rel')) {
        assert.deepEqual(meaning(row, back.operands), meaning(row, decoded.operands), line);
      }
      decodedHere++;
    }
    assert.ok(decodedHere >= 12, `${row.name} decoded ${decodedHere} times`);
    count += decodedHere;
  }
  t.diagnostic(`${count} encodings of ${X86_64.length} rows`);
});

test('every row lifts to blocks that verify', () => {
  for (const row of X86_64) {
    for (const [index, bytes] of [...encodings(row)].entries()) {
      // Addressing is the same code for all rows: some of each row's encodings will do.
      if (index % 11 !== 0) continue;
      const decoded = x86_64.decode(bytes, 0);
      if (decoded === undefined) continue;
      const builder = new Builder('x86_64');
      builder.beginInstruction(PC, decoded.length);
      row.lift(builder, decoded.operands);
      assert.deepEqual(verify(builder.block), [], x86_64.disassemble(decoded, PC));
    }
  }
});

test('lines that are no instruction are refused with a reason', () => {
  for (const [line, reason] of [
    ['', /empty/],
    ['frob rax', /no instruction is called frob/],
    ['add', /does not take/],
    ['add rax,ecx', /does not take/],
    ['add ah,sil', /does not take/],
    ['mov ah,r8b', /does not take/],
    ['add [rax],0x1', /does not take/],
    ['add rax,[rsp*2]', /is no register/],
    ['add rax,0x80000000', /does not take/],
    ['lea eax,ecx', /does not take/],
    ['mov eax,QWORD PTR [eax]', /is no register/],
    ['movzx eax,[rax]', /does not take/],
    ['mov al,0x100', /does not take/],
    ['jmp 0x7fffffffffff', /does not take/],
  ] as const) {
    const made = x86_64.assemble(line, PC);
    assert.ok('error' in made, `${line} is refused`);
    assert.match(made.error, reason);
  }
});

test('any bytes decode to an instruction within them of at most 15 bytes, or to nothing', () => {
  const bytes = fc.array(
    fc.oneof(fc.nat(255), fc.constantFrom(0x66, 0x48, 0x0f, 0x84, 0x24, ...X86_64.map(({ opcode }) => opcode))),
    { maxLength: 18 },
  );
  fc.assert(
    fc.property(bytes, fc.integer({ min: -2, max: 19 }), (list, offset) => {
      const decoded = x86_64.decode(Uint8Array.from(list), offset);
      if (!decoded) return;
      assert.ok(offset >= 0 && decoded.length >= 1 && decoded.length <= MAXIMUM_LENGTH);
      assert.ok(offset + decoded.length <= list.length);
      assert.ok(immediateBytes((decoded.row as X86Row).form, decoded.operands['size']!) <= 8);
      assert.equal(typeof x86_64.disassemble(decoded, PC), 'string');
      const builder = new Builder('x86_64');
      builder.beginInstruction(PC, decoded.length);
      decoded.row.lift(builder, decoded.operands);
      // Cut short anywhere, it is no instruction.
      const short = Uint8Array.from(list.slice(offset, offset + decoded.length - 1));
      assert.equal(x86_64.decode(short, 0), undefined);
    }),
    { numRuns: 30_000 },
  );
});
