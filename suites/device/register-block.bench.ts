import assert from 'node:assert/strict';
import { RegisterBlock, type Register } from '../../emulator/device/register-block.ts';
import { defineBench } from '../harness/define-bench.ts';

const ACCESSES = 1000;

interface Store {
  readonly words: Uint32Array;
}

/** As many rows as the largest device has: eight words, then two 8-byte registers made of them. */
function block(): RegisterBlock<Store> {
  const row = { doc: 'storage', spec: 'none' };
  const words = Array.from({ length: 8 }, (_, n): Register<Store> => ({
    ...row,
    name: `word${n}`,
    offset: 4 * n,
    width: 4,
    read: (store) => store.words[n]!,
    write: (store, value) => (store.words[n] = Number(value)),
  }));
  const wide: Register<Store> = {
    ...row,
    name: 'wide',
    offset: 0x40,
    width: 8,
    count: 2,
    read: (store, index) => (BigInt(store.words[2 * index + 1]!) << 32n) | BigInt(store.words[2 * index]!),
  };
  return new RegisterBlock('bench', 'none', 0x100, [4, 8], [...words, wide]);
}

interface State {
  readonly block: RegisterBlock<Store>;
  readonly store: Store;
}
const setup = (): State => ({ block: block(), store: { words: Uint32Array.from({ length: 8 }, (_, n) => n + 1) } });

defineBench<State>({
  id: 'device/register-block/read-word',
  title: 'dispatch a 4-byte read to one of nine registers',
  unit: 'ns/access',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  setup,
  work: ({ block, store }) => {
    let sum = 0;
    for (let n = 0; n < ACCESSES; n++) sum += block.read(store, 4 * (n & 7), 4) as number;
    return sum;
  },
  items: () => ACCESSES,
  check: (_, sum) => assert.equal(sum, (ACCESSES / 8) * 36),
});

defineBench<State>({
  id: 'device/register-block/write-word',
  title: 'dispatch a 4-byte write to one of nine registers',
  unit: 'ns/access',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  setup,
  work: ({ block, store }) => {
    for (let n = 0; n < ACCESSES; n++) block.write(store, 4 * (n & 7), 4, n);
    return store.words[7];
  },
  items: () => ACCESSES,
  check: (_, last) => assert.equal(last, ACCESSES - 1),
});

defineBench<State>({
  id: 'device/register-block/read-double',
  title: 'read an 8-byte register',
  unit: 'ns/access',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  setup,
  work: ({ block, store }) => {
    let last: number | bigint = 0;
    for (let n = 0; n < ACCESSES; n++) last = block.read(store, 0x40 + 8 * (n & 1), 8);
    return last;
  },
  items: () => ACCESSES,
  check: (_, last) => assert.equal(last, 0x0000_0004_0000_0003n),
});

defineBench<State>({
  id: 'device/register-block/absent',
  title: 'read where there is no register',
  unit: 'ns/access',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  setup,
  work: ({ block, store }) => {
    let sum = 0;
    for (let n = 0; n < ACCESSES; n++) sum += block.read(store, 0x80 + 4 * (n & 7), 4) as number;
    return sum;
  },
  items: () => ACCESSES,
  check: (_, sum) => assert.equal(sum, 0),
});
