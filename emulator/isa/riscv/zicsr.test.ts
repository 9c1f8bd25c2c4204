import assert from 'node:assert/strict';
import test from 'node:test';
import { Builder } from '../../ir/builder.ts';
import { evaluate } from '../../ir/evaluate.ts';
import { LinearMemory } from '../../ir/evaluator-memory.ts';
import { GUEST, STATE, STATE_SIZE } from '../../layout/memory-map.ts';
import { REGISTERS, StateOffset } from '../../layout/state.ts';
import { accessCsr, CsrOperation } from './csr.ts';
import { riscv64 } from './index.ts';
import { FLOAT_OFF } from './registers.ts';

test('reads of the rounding mode and the flags do without the helper what it does', () => {
  const memory = new WebAssembly.Memory({ initial: GUEST / 65536 + 1 });
  const state = new DataView(memory.buffer as ArrayBuffer, STATE, STATE_SIZE);
  const context = { state, retired: () => 0n, time: () => 0n, flushCode: () => {} };
  const read = (number: number) => {
    const encoded = riscv64.assemble(`csrrs a0,${number === 1 ? 'fflags' : 'frm'},zero`, 0n);
    assert.ok(!('error' in encoded));
    const decoded = riscv64.decode(Uint8Array.from(encoded), 0)!;
    const builder = new Builder(riscv64.name);
    builder.beginInstruction(0n, 4);
    decoded.row.lift(builder, decoded.operands);
    assert.ok(!builder.block.ops.some(({ name }) => name === 'call'));
    const outcome = evaluate(builder.block, {
      state,
      memory: new LinearMemory(memory.buffer, 65536),
      helper: () => assert.fail('no helper is called'),
    });
    if (outcome.kind === 'trap') return { trap: outcome.cause, value: outcome.value };
    return { result: state.getBigUint64(REGISTERS + 8 * 10, true) };
  };
  for (const number of [1, 2]) {
    for (let value = 0; value < 64; value++) {
      state.setUint32(StateOffset.floatFlags, value & 31, true);
      state.setUint32(StateOffset.floatRounding, (value + number) & 7, true);
      state.setInt32(FLOAT_OFF.offset, value >> 5, true);
      const expected = accessCsr(context, number, CsrOperation.read, 0n);
      const actual = read(number);
      if ('trap' in expected) assert.deepEqual(actual, { trap: expected.trap, value: expected.value });
      else assert.equal(actual.result, expected.result);
    }
  }
});
