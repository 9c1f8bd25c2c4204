import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Errno } from '../check/errno.ts';
import { WOULD_BLOCK } from './file.ts';
import { createPipe } from './pipe.ts';

test('bytes come out of a pipe in the order they went in, whatever the sizes', () => {
  const step = fc.record({ write: fc.boolean(), size: fc.integer({ min: 1, max: 70_000 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { reader, writer } = createPipe(0);
      let next = 0;
      let expected = 0;
      for (const { write, size } of steps) {
        if (write) {
          const bytes = Uint8Array.from({ length: size }, (_, i) => (next + i) % 251);
          const count = writer.write(bytes);
          if (count === WOULD_BLOCK) continue;
          // Up to PIPE_BUF a write is whole or waits (pipe(7)).
          assert.ok(size > 4096 || count === size);
          next += count;
        } else {
          const into = new Uint8Array(size);
          const count = reader.read(into);
          if (count === WOULD_BLOCK) {
            assert.equal(next, expected);
            continue;
          }
          for (let i = 0; i < count; i++) assert.equal(into[i], (expected + i) % 251);
          expected += count;
        }
        assert.ok(next - expected <= 65536);
      }
    }),
    { numRuns: 200 },
  );
});

test('a pipe without writers ends, without readers breaks', () => {
  const first = createPipe(0);
  assert.equal(first.reader.read(new Uint8Array(1)), WOULD_BLOCK);
  first.writer.close();
  assert.equal(first.reader.read(new Uint8Array(1)), 0);
  const second = createPipe(0);
  second.reader.close();
  assert.equal(second.writer.write(new Uint8Array(1)), -Errno.EPIPE);
  assert.equal(second.reader.write(new Uint8Array(1)), -Errno.EBADF);
});
