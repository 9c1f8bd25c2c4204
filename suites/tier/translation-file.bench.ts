import assert from 'node:assert/strict';
import { fingerprint } from '../../emulator/bits/murmur3.ts';
import { Vcpu } from '../../emulator/cpu/vcpu.ts';
import { riscv64 } from '../../emulator/isa/riscv/index.ts';
import { PAGE_SIZE, Permission } from '../../emulator/layout/memory-map.ts';
import { FlatMemory } from '../../emulator/memory/flat.ts';
import { BASELINE } from '../../emulator/tier/policy.ts';
import { decodeCode, encodeCode } from '../../emulator/tier/region/code-file.ts';
import { CodeStore, type StoredCode } from '../../emulator/tier/region/code-store.ts';
import { defineBench } from '../harness/define-bench.ts';
import { seededRandom } from '../harness/random.ts';

const SIZE = 1 << 20;
const CODE = 0x1_0000;
const DATA = 0x8_0000;
/** Blocks of code, of which a region holds a few; each loads, so that it can be left before an instruction. */
const BLOCKS = 150;
const BLOCK = ['ld a1,0(a0)', 'add a2,a2,a1', 'xor a3,a2,a1', 'sd a3,8(a0)', 'addi a0,a0,8'];

interface Translations {
  readonly regions: readonly StoredCode[];
  readonly file: Uint8Array<ArrayBuffer>;
}

function translations(): Translations {
  const memory = new FlatMemory(SIZE);
  let at = CODE;
  const add = (line: string): void => {
    const encoded = riscv64.assemble(line, BigInt(at));
    assert(!('error' in encoded), line);
    memory.bytes.set(encoded, at);
    at += encoded.length;
  };
  add(`lui a0,0x${(DATA >> 12).toString(16)}`);
  for (let block = 0; block < BLOCKS; block++) {
    for (const line of BLOCK) add(line);
    // Ends a block.
    add(`beq a0,zero,0x${(at + 4).toString(16)}`);
  }
  add(`jal zero,0x${CODE.toString(16)}`);
  memory.permission.fill(Permission.read | Permission.execute, CODE / PAGE_SIZE, DATA / PAGE_SIZE);
  memory.permission.fill(Permission.read | Permission.write, DATA / PAGE_SIZE, SIZE / PAGE_SIZE);
  const store = new CodeStore();
  const vcpu = new Vcpu(riscv64, memory.memory, { guestSize: SIZE, tiers: { policy: BASELINE, store } });
  vcpu.pc = BigInt(CODE);
  vcpu.run(20 * BLOCKS);
  const regions = [...store];
  return { regions, file: encodeCode(regions, 'bench') };
}

const COMMON = {
  unit: 'µs/region',
  kind: 'time',
  direction: 'lower',
  engine: 'tinybench',
  tags: ['riscv64'],
  setup: translations,
  items: ({ regions }: Translations) => regions.length,
  counters: ({ regions, file }: Translations) => ({ regions: regions.length, bytes: file.length }),
} as const;

defineBench<Translations>({
  ...COMMON,
  id: 'tier/translation-file/read',
  title: 'reading the translations of an earlier start, every field checked',
  work: ({ file }) => decodeCode(file, 'bench', SIZE),
  check: ({ regions }, read) => {
    assert.ok(regions.length > 100);
    assert.deepEqual(read, regions);
  },
});

defineBench<Translations>({
  ...COMMON,
  id: 'tier/translation-file/write',
  title: 'the bytes of a file with the translations of a run',
  work: ({ regions }) => encodeCode(regions, 'bench'),
  check: ({ file }, written) => assert.deepEqual(written, file),
});

const BYTES = 1 << 20;

defineBench<Uint8Array>({
  id: 'tier/translation-file/checksum',
  title: `the checksum of ${BYTES >> 20} MiB, once V8 has optimised it`,
  unit: 'MiB/s',
  kind: 'throughput',
  direction: 'higher',
  engine: 'tinybench',
  setup: () => {
    const random = seededRandom(12);
    return Uint8Array.from({ length: BYTES }, () => 256 * random());
  },
  work: (bytes) => fingerprint(bytes),
  items: () => BYTES,
  check: (_, sum) => assert.match(String(sum), /^[0-9a-f]{16}$/),
});
