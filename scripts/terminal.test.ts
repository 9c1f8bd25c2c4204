import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EscapeFilter, GatheredOutput } from './terminal.ts';

const feed = (...chunks: readonly string[]) => {
  const filter = new EscapeFilter();
  let guest = '';
  const commands: string[] = [];
  for (const chunk of chunks) {
    const fed = filter.feed(Buffer.from(chunk, 'latin1'));
    guest += Buffer.from(fed.guest).toString('latin1');
    commands.push(...fed.commands);
  }
  return { guest, commands };
};

test('what is typed goes to the guest, Ctrl-C and all, but for Ctrl-A and the key after it', () => {
  assert.deepEqual(feed('ls\r\x03\xff'), { guest: 'ls\r\x03\xff', commands: [] });
  assert.deepEqual(feed('a\x01xb'), { guest: 'ab', commands: ['leave'] });
  assert.deepEqual(feed('\x01h\x01?\x01r\x01s'), { guest: '', commands: ['help', 'help', 'reset', 'screenshot'] });
});

test('Ctrl-A itself is sent by a second one or by a; other keys after it are nobody’s', () => {
  assert.deepEqual(feed('\x01\x01x'), { guest: '\x01x', commands: [] });
  assert.deepEqual(feed('\x01ax\x01q'), { guest: '\x01x', commands: [] });
});

test('an escape across two chunks counts', () => {
  assert.deepEqual(feed('one\x01', 'xtwo'), { guest: 'onetwo', commands: ['leave'] });
});

test('output is gathered until the event loop turns, and nothing is lost when there is much', async () => {
  const written: Uint8Array[] = [];
  const output = new GatheredOutput((bytes) => written.push(bytes));
  for (const byte of Buffer.from('hello')) output.add(Uint8Array.of(byte));
  assert.equal(written.length, 0);
  await new Promise((resolve) => void setImmediate(resolve));
  assert.deepEqual(written.map(String), [String(Uint8Array.from(Buffer.from('hello')))]);
  output.add(new Uint8Array(20_000).fill(7));
  output.flush();
  assert.equal(
    written.reduce((sum, { length }) => sum + length, 0),
    20_005,
  );
});
