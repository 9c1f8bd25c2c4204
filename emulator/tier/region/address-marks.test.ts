import assert from 'node:assert/strict';
import test from 'node:test';
import { AddressMarks } from './address-marks.ts';

test('marks are found in their page until they are taken away', () => {
  const marks = new AddressMarks([-0x1ffe, 0x3f_ffff_f004]);
  marks.add(-0x1ffe);
  assert.equal(marks.inPage(-0x2000)?.[2], 1);
  assert.equal(marks.inPage(0x3f_ffff_f000)?.[4], 1);
  assert.equal(marks.inPage(-0x1000), undefined);
  marks.delete(-0x1ffe);
  marks.delete(-0x1ffe);
  assert.equal(marks.inPage(-0x2000), undefined);
});
