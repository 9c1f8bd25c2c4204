import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { MmioWidth } from '../memory/mmio.ts';
import { RegisterBlock, type Register } from './register-block.ts';

/** Plain storage of the four widths, with a log of what was done to it. */
interface Store {
  readonly values: Record<string, number | bigint>;
  readonly log: string[];
}

function stored(name: string, offset: number, width: MmioWidth, count = 1, stride: number = width): Register<Store> {
  return {
    name,
    offset,
    width,
    count,
    stride,
    reset: 0,
    doc: 'storage',
    spec: 'test',
    read: (store, index) => {
      store.log.push(`read ${name}[${index}]`);
      return store.values[`${name}${index}`] ?? 0;
    },
    write: (store, value, index) => {
      store.log.push(`write ${name}[${index}] ${typeof value} ${value.toString(16)}`);
      store.values[`${name}${index}`] = value;
    },
  };
}

const ALL = [1, 2, 4, 8] as const;
const BLOCK = new RegisterBlock<Store>('test', 'none', 0x100, ALL, [
  stored('byte', 0, 1, 8),
  stored('half', 8, 2, 4),
  stored('word', 0x10, 4, 2, 8),
  stored('other', 0x14, 4, 2, 8),
  stored('double', 0x20, 8, 2),
]);
const fresh = (): Store => ({ values: {}, log: [] });

test('an access as wide as its register is handed over unsigned, as a bigint for 8 bytes', () => {
  const store = fresh();
  BLOCK.write(store, 0x18, 4, 0xffff_ffff);
  BLOCK.write(store, 0x28, 8, -1n);
  assert.deepEqual(store.log, ['write word[1] number ffffffff', 'write double[1] bigint ffffffffffffffff']);
  assert.equal(BLOCK.read(store, 0x18, 4), 0xffff_ffff);
  assert.equal(BLOCK.read(store, 0x28, 8), 0xffff_ffff_ffff_ffffn);
});

test('a wide access is made of the registers in it, the lowest first', () => {
  const store = fresh();
  BLOCK.write(store, 0x10, 8, 0x1111_2222_3333_4444n);
  BLOCK.write(store, 0, 4, 0xa1b2_c3d4);
  assert.deepEqual(store.log, [
    'write word[0] number 33334444',
    'write other[0] number 11112222',
    'write byte[0] number d4',
    'write byte[1] number c3',
    'write byte[2] number b2',
    'write byte[3] number a1',
  ]);
  assert.equal(BLOCK.read(store, 0, 8), 0xa1b2_c3d4n);
});

test('halves of an 8-byte register can be written one by one', () => {
  const store = fresh();
  BLOCK.write(store, 0x20, 4, 0x8765_4321);
  BLOCK.write(store, 0x24, 4, 0xfedc_ba98);
  assert.equal(store.values['double0'], 0xfedc_ba98_8765_4321n);
  assert.equal(BLOCK.read(store, 0x24, 4), 0xfedc_ba98);
  assert.equal(BLOCK.read(store, 0x26, 1), 0xdc);
});

test('bytes of no register read as 0 and ignore writes', () => {
  const store = fresh();
  for (const width of ALL) {
    BLOCK.write(store, 0x80, width, width === 8 ? 1n : 1);
    assert.equal(Number(BLOCK.read(store, 0x80, width)), 0);
  }
  assert.deepEqual(store.log, []);
});

test('read-only registers ignore writes and write-only ones read as 0', () => {
  const row = { width: 4, doc: '', spec: '' } as const;
  const written: (number | bigint)[] = [];
  const block = new RegisterBlock<undefined>(
    't',
    'none',
    16,
    [4],
    [
      { ...row, name: 'ro', offset: 0, read: () => 7 },
      { ...row, name: 'wo', offset: 4, write: (_, value) => written.push(value) },
    ],
  );
  block.write(undefined, 0, 4, 1);
  block.write(undefined, 4, 4, 5);
  assert.deepEqual([block.read(undefined, 0, 4), block.read(undefined, 4, 4), written], [7, 0, [5]]);
});

test('a part of a write-only register is written with zeros around it', () => {
  const written: (number | bigint)[] = [];
  const block = new RegisterBlock<undefined>(
    't',
    'none',
    16,
    [1, 4],
    [{ name: 'wo', offset: 4, width: 4, doc: '', spec: '', write: (_, value) => written.push(value) }],
  );
  block.write(undefined, 5, 1, 0xab);
  block.write(undefined, 8, 4, 1);
  assert.deepEqual(written, [0xab00]);
});

test('values after a reset are those the table gives, for registers that can be read', () => {
  const row = { width: 4, doc: '', spec: '', read: () => 0 } as const;
  const block = new RegisterBlock<undefined>(
    't',
    'none',
    32,
    [4],
    [
      { ...row, name: 'plain', offset: 0 },
      { ...row, name: 'pair', offset: 8, count: 2, stride: 8, reset: 5 },
      { ...row, name: 'clock', offset: 4, reset: 'varies' },
      { name: 'wo', offset: 12, width: 4, doc: '', spec: '', write: () => {} },
    ],
  );
  assert.deepEqual(
    block.resetValues().map(({ name, offset, value }) => [name, offset, value]),
    [
      ['plain', 0, 0],
      ['pair', 8, 5],
      ['pair', 16, 5],
    ],
  );
});

test('a width that the device does not decode is refused', () => {
  const block = new RegisterBlock<Store>('t', 'none', 16, [4], [stored('word', 0, 4)]);
  assert.deepEqual(
    ALL.map((width) => block.refuses(width)),
    [true, true, false, true],
  );
  const store = fresh();
  block.write(store, 0, 1, 1);
  assert.equal(block.read(store, 0, 2), 0);
  assert.deepEqual(store.log, []);
});

test('registers that overlap, leave the block, are misaligned or do nothing are our own mistake', () => {
  const build = (...registers: Register<Store>[]) => new RegisterBlock<Store>('t', 'none', 16, [4], registers);
  assert.throws(() => build(stored('a', 0, 4), stored('b', 0, 4)), /b overlaps a/);
  assert.throws(() => build(stored('a', 0, 4, 2, 8), stored('b', 4, 4, 3)), /overlaps/);
  assert.throws(() => build(stored('a', 0, 4, 5)), /outside/);
  assert.throws(() => build(stored('a', 2, 4)), /misaligned/);
  assert.throws(() => build({ name: 'a', offset: 0, width: 4, doc: '', spec: '' }), /does nothing/);
});

test('names for traces count the registers and the bytes', () => {
  const names = [0, 7, 8, 0x18, 0x1d, 0x24, 0x40].map((offset) => BLOCK.nameAt(offset));
  assert.deepEqual(names, ['byte[0]', 'byte[7]', 'half[0]', 'word[1]', 'other[1]+1', 'double[0]+4', undefined]);
});

test('any mixture of widths and offsets reads back what plain bytes would hold', () => {
  const access = fc.record({
    width: fc.constantFrom(...ALL),
    place: fc.nat(0x3f),
    value: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  });
  fc.assert(
    fc.property(fc.array(access, { minLength: 1, maxLength: 40 }), (accesses) => {
      const store = fresh();
      const model = new Uint8Array(0x48);
      const view = new DataView(model.buffer);
      for (const { width, place, value } of accesses) {
        const offset = place & -width;
        BLOCK.write(store, offset, width, width === 8 ? value : Number(BigInt.asUintN(8 * width, value)));
        for (let byte = 0; byte < width; byte++) {
          if (BLOCK.nameAt(offset + byte) !== undefined)
            model[offset + byte] = Number((value >> BigInt(8 * byte)) & 0xffn);
        }
      }
      for (let offset = 0; offset < 0x40; offset += 8) {
        assert.equal(BigInt(BLOCK.read(store, offset, 8)), view.getBigUint64(offset, true));
        assert.equal(BLOCK.read(store, offset, 4), view.getUint32(offset, true));
        assert.equal(BLOCK.read(store, offset + 7, 1), view.getUint8(offset + 7));
      }
    }),
    { numRuns: 300 },
  );
});

test('the document has a row a register', () => {
  const text = BLOCK.document();
  assert.match(text, /\| 0x10 \+ n·0x8, n < 2 \| `word` \| 4 \| rw \| 0x0 \|/);
  assert.equal(text.split('\n').filter((line) => line.startsWith('| 0x')).length, BLOCK.registers.length);
});
