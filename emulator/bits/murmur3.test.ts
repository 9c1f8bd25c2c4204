import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { fingerprint, murmur3 } from './murmur3.ts';

test('published vectors', () => {
  for (const [text, seed, expected] of [
    ['', 0, 0],
    ['', 1, 0x514e_28b7],
    ['', 0xffff_ffff, 0x81f1_6f39],
    ['\u0000\u0000\u0000\u0000', 0, 0x2362_f9de],
    ['aaaa', 0x9747_b28c, 0x5a97_808a],
    ['aaa', 0x9747_b28c, 0x283e_0130],
    ['aa', 0x9747_b28c, 0x5d21_1726],
    ['a', 0x9747_b28c, 0x7fa0_9ea6],
    ['test', 0, 0xba6b_d213],
    ['Hello, world!', 0x9747_b28c, 0x2488_4cba],
    ['The quick brown fox jumps over the lazy dog', 0x9747_b28c, 0x2fa8_26cd],
  ] as const)
    assert.equal(murmur3(Buffer.from(text, 'latin1'), seed), expected, `${JSON.stringify(text)} ${seed}`);
});

test('wherever the bytes begin in their buffer', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.integer({ min: 1, max: 3 }), (bytes, offset) => {
      const moved = new Uint8Array(bytes.length + offset).subarray(offset);
      moved.set(bytes);
      assert.equal(fingerprint(moved), fingerprint(Uint8Array.from(bytes)));
    }),
  );
});

test('any one changed byte is seen', () => {
  const whole = fc.uint8Array({ minLength: 1, maxLength: 5000 });
  fc.assert(
    fc.property(whole, fc.nat(), fc.integer({ min: 1, max: 255 }), (bytes, at, bits) => {
      const changed = Uint8Array.from(bytes);
      changed[at % bytes.length]! ^= bits;
      assert.notEqual(fingerprint(changed), fingerprint(bytes));
    }),
  );
});
