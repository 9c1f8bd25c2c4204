import assert from 'node:assert/strict';
import { ByteBuffer } from '../../emulator/wasm/leb128.ts';
import { defineBench } from '../harness/define-bench.ts';
import { seededRandom } from '../harness/random.ts';

const COUNT = 4096;

/** Numbers of one to five encoded bytes, small ones most often, as local indices and immediates are. */
function numbers(): Int32Array {
  const random = seededRandom(7);
  return Int32Array.from({ length: COUNT }, () => {
    const bits = Math.floor(32 * random() ** 3);
    return Math.floor(random() * 2 ** bits) * (random() < 0.25 ? -1 : 1);
  });
}

interface Case {
  readonly values: Int32Array;
  readonly buffer: ByteBuffer;
}

type Encode = (buffer: ByteBuffer, values: Int32Array) => void;

const ENCODINGS: Readonly<Record<string, Encode>> = {
  u32: (buffer, values) => {
    for (let i = 0; i < values.length; i++) buffer.u32(values[i]!);
  },
  s32: (buffer, values) => {
    for (let i = 0; i < values.length; i++) buffer.s32(values[i]!);
  },
  's64-halves': (buffer, values) => {
    for (let i = 0; i < values.length; i++) buffer.s64Halves(values[i]!, values[i]! >> 31);
  },
};

for (const [name, encode] of Object.entries(ENCODINGS)) {
  const work = ({ values, buffer }: Case): number => {
    buffer.length = 0;
    encode(buffer, values);
    return buffer.length;
  };
  defineBench<Case>({
    id: `wasm/leb128/${name}`,
    title: `write ${name} LEB128 numbers`,
    unit: 'ns/number',
    kind: 'time',
    direction: 'lower',
    engine: 'mitata',
    setup: () => ({ values: numbers(), buffer: new ByteBuffer(8 * COUNT) }),
    work,
    items: ({ values }) => values.length,
    check: ({ values, buffer }) => assert.deepEqual(decodeAll(buffer, name === 'u32'), [...values].map(BigInt)),
    counters: (state) => ({ bytes: work(state) }),
  });
}

/** Reads the numbers back, by the definition of the format. */
function decodeAll(buffer: ByteBuffer, unsigned: boolean): bigint[] {
  const found: bigint[] = [];
  let value = 0n;
  let shift = 0n;
  for (const byte of buffer.bytes.subarray(0, buffer.length)) {
    value |= BigInt(byte & 0x7f) << shift;
    shift += 7n;
    if ((byte & 0x80) !== 0) continue;
    found.push(unsigned ? BigInt.asIntN(32, value) : BigInt.asIntN(Number(shift), value));
    value = 0n;
    shift = 0n;
  }
  return found;
}
