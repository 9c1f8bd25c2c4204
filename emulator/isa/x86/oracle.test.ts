// Holds random x86-64 instructions against the processor that the test runs on: registers, defined flags, memory.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { randomWords, testSeed } from '../../bits/float-operands.ts';
import { askOracle, biased, BlockMachine, CODE, WINDOW, WINDOW_SIZE } from '../../filetests/single-instruction.ts';
import { Builder } from '../../ir/builder.ts';
import type { Decoded } from '../instruction.ts';
import { hasModRm, RIP } from './encoding.ts';
import { x86_64 } from './index.ts';
import { AF, CF, OF, PF, R, RSP, SF, ZF } from './registers.ts';
import { X86_64, type X86Row } from './rows.ts';

/** INSTANCES=1000000 for a long run. */
const INSTANCES = Number(process.env['INSTANCES'] ?? 10_000);
/** Translating an instance to WebAssembly takes far longer than evaluating it: one in so many is, beyond the first 10,000. */
const TRANSLATED = 20;
const STATE_BYTES = 17 * 8 + WINDOW_SIZE;
const INPUT = STATE_BYTES + 16;
const ROWS = X86_64.filter(({ mnemonic }) => !/^(call|ret|j\w+)$/.test(mnemonic));
/** The flags and their bits in RFLAGS. */
const FLAGS = [
  [CF, 0],
  [PF, 2],
  [AF, 4],
  [ZF, 6],
  [SF, 7],
  [OF, 11],
] as const;
const bits = (...files: (typeof CF)[]): number =>
  FLAGS.reduce((sum, [file, bit]) => (files.includes(file) ? sum | (1 << bit) : sum), 0);
const ALL = bits(CF, PF, AF, ZF, SF, OF);

interface Instance {
  readonly decoded: Decoded;
  /** Flags that the manual defines after this instruction. */
  readonly defined: number;
}

/** Random bytes of a row, an instruction whose memory operand has been put into the window along with the registers; or undefined. */
function draw(random: () => number, record: DataView): Instance | undefined {
  const row = ROWS[random() % ROWS.length]!;
  const pick = (of: readonly number[]): number => of[random() % of.length]!;
  const head = [...(random() % 4 === 0 ? [0x66] : []), ...(random() % 2 === 0 ? [0x40 | (random() & 15)] : [])];
  const body = [...(row.twoByte ? [0x0f] : []), row.opcode];
  const bytes = [
    ...head,
    ...body,
    ...Array.from({ length: 14 }, () => (random() % 3 === 0 ? pick([0, 1, 0x7f, 0x80, 0xff]) : random() & 255)),
  ];
  const at = head.length + body.length;
  if (hasModRm(row.form) && row.digit !== undefined) bytes[at] = (bytes[at]! & 0xc7) | (row.digit << 3);
  let decoded = x86_64.decode(Uint8Array.from(bytes), 0);
  if (!decoded || decoded.row !== row) return undefined;
  const registers = Array.from({ length: 16 }, () => biased(random));
  if (row.mnemonic === 'push') registers[RSP] = BigInt(WINDOW + 8 + (random() % (WINDOW_SIZE - 16)));
  const target = BigInt(WINDOW + (random() % (WINDOW_SIZE - 8)));
  if (hasModRm(row.form) && decoded.operands['direct'] === 0 && row.mnemonic !== 'lea') {
    const { base, index, scale } = decoded.operands as Record<'base' | 'index' | 'scale', number>;
    if (base === RIP || (base < 0 && index < 0)) {
      const from = base === RIP ? CODE + decoded.length : 0;
      const field = at + (base === RIP ? 1 : 2);
      for (let i = 0; i < 4; i++) bytes[field + i] = Number(((target - BigInt(from)) >> BigInt(8 * i)) & 0xffn);
      decoded = x86_64.decode(Uint8Array.from(bytes), 0)!;
    }
    const displacement = BigInt(decoded.operands['displacement']!);
    if (base < 0 && index >= 0) registers[index] = BigInt.asUintN(64, (target - displacement) >> BigInt(scale));
    else if (base >= 0 && base !== RIP) {
      const offset = index < 0 ? 0n : registers[index]! << BigInt(scale);
      if (base !== index) registers[base] = BigInt.asUintN(64, target - displacement - offset);
      else registers[base] = BigInt.asUintN(64, target - displacement) / BigInt((1 << scale) + 1);
    }
    const value = (number: number): bigint =>
      number < 0 ? 0n : number === RIP ? BigInt(CODE + decoded!.length) : registers[number]!;
    const address = BigInt.asUintN(64, value(base) + (value(index) << BigInt(scale)) + displacement);
    if (address < BigInt(WINDOW) || address > BigInt(WINDOW + WINDOW_SIZE - 8)) return undefined;
  }
  if (row.mnemonic === 'push') {
    const top = registers[RSP]! - 8n;
    if (top < BigInt(WINDOW) || top > BigInt(WINDOW + WINDOW_SIZE - 8)) return undefined;
  }
  registers.forEach((each, i) => record.setBigUint64(8 * i, each, true));
  record.setBigUint64(8 * 16, BigInt((random() & ALL) | 2), true);
  for (let i = 0; i < WINDOW_SIZE; i += 4) record.setUint32(8 * 17 + i, random(), true);
  record.setUint8(STATE_BYTES, decoded.length);
  for (let i = 0; i < decoded.length; i++) record.setUint8(STATE_BYTES + 1 + i, bytes[i]!);
  return { decoded, defined: definedFlags(row, decoded.operands, Number(registers[1]! & 255n)) };
}

/** Intel SDM volume 2, "Flags Affected" of each instruction. */
function definedFlags(row: X86Row, operands: Decoded['operands'], cl: number): number {
  if (row.mnemonic === 'imul') return bits(CF, OF);
  if (row.mnemonic !== 'shl') return ALL;
  const size = operands['size']!;
  const given = row.form === 'rm,1' ? 1 : row.form === 'rm,cl' ? cl : operands['immediateLow']!;
  const count = given & (size === 64 ? 63 : 31);
  if (count === 0) return ALL;
  return bits(ZF, SF, PF, ...(count === 1 ? [OF] : []), ...(count < size ? [CF] : []));
}

test('random instructions do what the processor does', (t) => {
  if (process.arch !== 'x64' || process.platform !== 'linux') return t.skip('this machine is no x86-64 with Linux');
  const seed = testSeed();
  t.diagnostic(`seed ${seed}`);
  const random = randomWords(seed);
  const records = new Uint8Array(INSTANCES * INPUT);
  const cases: Instance[] = [];
  while (cases.length < INSTANCES) {
    const drawn = draw(random, new DataView(records.buffer, INPUT * cases.length, INPUT));
    if (drawn) cases.push(drawn);
  }
  const machine = { compilers: ['gcc', 'cc', 'x86_64-linux-gnu-gcc'], emulator: undefined };
  const answers: ReturnType<typeof askOracle> = askOracle(join(import.meta.dirname, 'oracle.c'), machine, records);
  if ('missing' in answers) return t.skip(answers.missing);
  assert.equal(answers.length, INSTANCES * STATE_BYTES);

  const subject = new BlockMachine();
  const seen = new Set<string>();
  let translated = 0;
  for (const [index, { decoded, defined }] of cases.entries()) {
    const input = new DataView(records.buffer, INPUT * index, INPUT);
    const expected: DataView = new DataView(answers.buffer, answers.byteOffset + STATE_BYTES * index, STATE_BYTES);
    const builder = new Builder('x86_64');
    builder.beginInstruction(BigInt(CODE), decoded.length);
    decoded.row.lift(builder, decoded.operands);
    seen.add(decoded.row.name);
    for (const executor of ['evaluate', 'wasm'] as const) {
      if (executor === 'wasm' && index >= 10_000 && index % TRANSLATED !== 0) continue;
      if (executor === 'wasm') translated++;
      const { state, window } = subject;
      for (let i = 0; i < 16; i++) state.setBigUint64(R.offset + 8 * i, input.getBigUint64(8 * i, true), true);
      const flags = Number(input.getBigUint64(8 * 16, true));
      for (const [{ offset }, bit] of FLAGS) state.setUint32(offset, (flags >> bit) & 1, true);
      window.set(records.subarray(INPUT * index + 8 * 17, INPUT * index + STATE_BYTES));
      const what = `${executor}: ${x86_64.disassemble(decoded, BigInt(CODE))}, instance ${index}; SEED=${seed}`;
      assert.equal(subject.run(executor, builder.block).kind, 'end', what);
      for (let i = 0; i < 16; i++) {
        const [is, should] = [state.getBigUint64(R.offset + 8 * i, true), expected.getBigUint64(8 * i, true)];
        if (is !== should) assert.fail(`${what}: r${i} is ${is.toString(16)}, not ${should.toString(16)}`);
      }
      const found = FLAGS.reduce((sum, [{ offset }, bit]) => sum | (state.getUint32(offset, true) << bit), 0);
      const should: number = Number(expected.getBigUint64(8 * 16, true) & BigInt(ALL));
      assert.equal((found & defined).toString(16), (should & defined).toString(16), `${what}: flags`);
      const there = answers.subarray(STATE_BYTES * index + 8 * 17, STATE_BYTES * (index + 1));
      assert.equal(Buffer.compare(window, there), 0, `${what}: memory`);
    }
  }
  t.diagnostic(`${INSTANCES} instances of ${seen.size} rows agree, ${translated} of them also as WebAssembly`);
  assert.equal(seen.size, ROWS.length);
});
