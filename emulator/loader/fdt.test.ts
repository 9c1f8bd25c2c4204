import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import fc from 'fast-check';
import { ImageError } from '../check/errors.ts';
import {
  cellsOf,
  encodeProperty,
  fdtNode,
  findNode,
  parseFdt,
  stringsOf,
  withProperties,
  writeFdt,
  type Fdt,
  type FdtNode,
} from './fdt.ts';

const SAMPLE: Fdt = {
  root: fdtNode('', { '#address-cells': 2, '#size-cells': 2, compatible: ['a,b', 'c'] }, [
    fdtNode('chosen', { bootargs: 'console=ttyS0', 'linux,initrd-start': 0x8800_0000n }),
    fdtNode('memory@80000000', { device_type: 'memory', reg: [0x8000_0000n, 0x2000_0000n] }),
    fdtNode('soc', { ranges: true, mac: Uint8Array.of(1, 2, 3, 4, 5), absent: undefined }, [
      fdtNode('uart@10000000', { interrupts: [10, 4] }),
      fdtNode('uart@20000000', {}),
    ]),
  ]),
  reservations: [{ address: 0x8000_0000n, size: 0x4_0000n }],
  bootCpu: 3,
};

function dtc(args: readonly string[], input: Uint8Array | string): Buffer | undefined {
  const done = spawnSync('dtc', args, { input, maxBuffer: 1 << 26 });
  if (done.error !== undefined) return undefined;
  assert.equal(done.status, 0, done.stderr.toString());
  return done.stdout;
}
const HAS_DTC = spawnSync('dtc', ['--version']).error === undefined;
const WITH_DTC = { skip: HAS_DTC ? false : 'dtc is not installed (package device-tree-compiler)' };

/** Node names are unique among siblings, which dtc insists on. */
const nodeName = fc.stringMatching(/^[a-z][a-z0-9,._+-]{0,20}$/);
const propertyName = fc
  .stringMatching(/^[a-z#][a-z0-9,._+?#-]{0,20}$/)
  .filter((name) => !['name', 'reg', 'ranges', 'phandle'].includes(name));
const tree: fc.Arbitrary<FdtNode> = fc.letrec<{ node: FdtNode }>((tie) => ({
  node: fc
    .record({
      name: nodeName,
      properties: fc.dictionary(propertyName, fc.uint8Array({ maxLength: 40 }), { maxKeys: 5 }),
      children: fc.oneof(
        { maxDepth: 4 },
        fc.constant([]),
        fc.uniqueArray(tie('node'), { maxLength: 4, selector: (n) => n.name }),
      ),
    })
    .map(({ name, properties, children }) => fdtNode(name, properties, children)),
})).node;
const blobs = fc
  .record({
    root: tree.map((node) => ({ ...node, name: '' })),
    reservations: fc.array(
      fc.record({ address: fc.bigInt(1n, (1n << 64n) - 1n), size: fc.bigInt(1n, (1n << 64n) - 1n) }),
      { maxLength: 3 },
    ),
    bootCpu: fc.nat(8),
  })
  .map(({ root, reservations, bootCpu }): Fdt => ({
    root,
    bootCpu,
    reservations: reservations.map((r) => ({ ...r })),
  }));

/** Property values as plain arrays, so that Buffers and typed arrays compare equal. */
function plain(node: FdtNode): unknown {
  return [node.name, [...node.properties].map(([key, value]) => [key, [...value]]), node.children.map(plain)];
}

test('what is written is read back', () => {
  const read = parseFdt(writeFdt(SAMPLE), 'sample');
  assert.deepEqual(plain(read.root), plain(SAMPLE.root));
  assert.deepEqual(read.reservations, SAMPLE.reservations);
  assert.equal(read.bootCpu, 3);
});

test('values are encoded as the specification’s property types', () => {
  const bytes = (value: Parameters<typeof encodeProperty>[0]): number[] => [...encodeProperty(value)];
  assert.deepEqual(bytes(true), []);
  assert.deepEqual(bytes(0x11223344), [0x11, 0x22, 0x33, 0x44]);
  assert.deepEqual(bytes(0x1122334455667788n), [0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88]);
  assert.deepEqual(bytes([1, 2n]), [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2]);
  assert.deepEqual(bytes('ab'), [0x61, 0x62, 0]);
  assert.deepEqual(bytes(['a', 'b']), [0x61, 0, 0x62, 0]);
  assert.throws(() => bytes(-1), /cell/);
  assert.throws(() => bytes('a\0b'), /NUL/);
});

test('cells and strings are taken apart again', () => {
  assert.deepEqual(cellsOf(encodeProperty([1, 0xffff_ffff, 2n])), [1, 0xffff_ffff, 0, 2]);
  assert.deepEqual(stringsOf(encodeProperty(['a', 'bc'])), ['a', 'bc']);
  assert.deepEqual(stringsOf(new Uint8Array(0)), []);
});

test('a node is found by path, with or without its unit address where that is unique', () => {
  const name = (path: string): string | undefined => findNode(SAMPLE.root, path)?.name;
  assert.equal(name('/'), '');
  assert.equal(name('/memory'), 'memory@80000000');
  assert.equal(name('/soc/uart@20000000'), 'uart@20000000');
  assert.equal(name('/soc/uart'), undefined);
  assert.equal(name('/nothing/here'), undefined);
});

test('setting properties changes that node only and makes what is missing', () => {
  const changed = withProperties(SAMPLE.root, '/chosen', { bootargs: 'quiet', 'linux,initrd-start': undefined });
  const chosen = findNode(changed, '/chosen')!;
  assert.deepEqual([...chosen.properties.keys()], ['bootargs']);
  assert.deepEqual(stringsOf(chosen.properties.get('bootargs')!), ['quiet']);
  assert.equal(changed.children[2], SAMPLE.root.children[2]);
  const made = withProperties(SAMPLE.root, '/firmware/options', { x: 1 });
  assert.deepEqual(cellsOf(findNode(made, '/firmware/options')!.properties.get('x')!), [1]);
});

test('a blob may be followed by room, which belongs to it', () => {
  const blob = writeFdt(SAMPLE, 4096);
  assert.equal(blob.length % 8, 0);
  assert.equal(new DataView(blob.buffer).getUint32(4), blob.length);
  assert.ok(blob.length >= writeFdt(SAMPLE).length + 4096);
  assert.deepEqual(plain(parseFdt(blob, 'room').root), plain(SAMPLE.root));
});

test('every tree is read back as it was written', () => {
  fc.assert(
    fc.property(blobs, (fdt) => {
      const read = parseFdt(writeFdt(fdt), 'random');
      assert.deepEqual(plain(read.root), plain(fdt.root));
      assert.deepEqual(read.reservations, fdt.reservations);
    }),
    { numRuns: 200 },
  );
});

test('dtc reads what is written, and its own blob of it says the same', WITH_DTC, () => {
  fc.assert(
    fc.property(blobs, (fdt) => {
      const theirs = dtc(['-q', '-q', '-I', 'dtb', '-O', 'dtb'], writeFdt(fdt))!;
      const read = parseFdt(theirs, 'dtc');
      assert.deepEqual(plain(read.root), plain(fdt.root));
      assert.deepEqual(read.reservations, fdt.reservations);
    }),
    { numRuns: 25 },
  );
});

test('a source that dtc compiles is read', WITH_DTC, () => {
  const source = `/dts-v1/; /memreserve/ 0x1000 0x2000;
    / { model = "m"; ref = <&l>; l: cpus { #address-cells = <1>; x = <1 2 3>, "s", [0a ff]; }; };`;
  const { root, reservations } = parseFdt(dtc(['-I', 'dts', '-O', 'dtb'], source)!, 'source');
  assert.deepEqual(reservations, [{ address: 0x1000n, size: 0x2000n }]);
  const cpus = findNode(root, '/cpus')!;
  assert.deepEqual([...cpus.properties.get('x')!], [0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0x73, 0, 0x0a, 0xff]);
  assert.deepEqual(root.properties.get('ref'), cpus.properties.get('phandle'));
});

/** The sample with 32-bit words replaced, by byte offset. */
function damaged(changes: Readonly<Record<number, number>>): Uint8Array {
  const blob = writeFdt(SAMPLE);
  const view = new DataView(blob.buffer);
  for (const [offset, word] of Object.entries(changes)) view.setUint32(Number(offset), word);
  return blob;
}
const STRUCTURE = 40 + 32;

for (const [what, blob, message] of [
  ['nothing', new Uint8Array(0), /too few/],
  ['a header cut short', writeFdt(SAMPLE).subarray(0, 39), /too few/],
  ['another magic', damaged({ 0: 0xedfe0dd0 }), /magic/],
  ['a blob cut short', writeFdt(SAMPLE).subarray(0, 100), /there are 100/],
  ['a total size of nothing', damaged({ 4: 0 }), /says it has 0/],
  ['an old version', damaged({ 20: 3 }), /version 3/],
  ['a version from the future', damaged({ 20: 99, 24: 98 }), /version 99/],
  ['structure outside', damaged({ 8: 0xffff_fff0 }), /ends after/],
  ['structure outside, of version 16 that gives no size', damaged({ 8: 0xffff_fff0, 20: 16 }), /ends after/],
  ['strings outside', damaged({ 12: 0xffff_fff0 }), /ends after/],
  ['a misaligned structure', damaged({ 8: STRUCTURE + 1 }), /misaligned/],
  ['reservations outside', damaged({ 16: 0xffff_fff8 }), /reservation/],
  ['a huge structure', damaged({ 36: 0xffff_ffff }), /ends after/],
  ['no root', damaged({ [STRUCTURE]: 9 }), /begin with a node/],
  ['a root with a name that does not end', damaged({ [STRUCTURE + 4]: 0x61616161, 36: 8 }), /does not end/],
  ['an unknown token', damaged({ [STRUCTURE + 8]: 7 }), /does not end/],
  ['a property longer than the block', damaged({ [STRUCTURE + 12]: 0xffff_ffff }), /ends after/],
  ['a property whose name is elsewhere', damaged({ [STRUCTURE + 16]: 0x00ff_ffff }), /property name/],
] as const) {
  test(`refused: ${what}`, () => {
    assert.throws(
      () => parseFdt(blob, 'hostile.dtb'),
      (error) => error instanceof ImageError && error.where === 'hostile.dtb' && message.test(error.message),
    );
  });
}

test('64 nodes deep is written and read, one more is our own mistake', () => {
  const nested = (depth: number): FdtNode => fdtNode('n', {}, depth === 1 ? [] : [nested(depth - 1)]);
  const tree = (depth: number): Fdt => ({ ...SAMPLE, root: { ...nested(depth), name: '' } });
  assert.deepEqual(plain(parseFdt(writeFdt(tree(64)), 'deep').root), plain(tree(64).root));
  assert.throws(() => writeFdt(tree(65)), /64 nodes deep/);
});

test('refused: nodes without end, one in the other', () => {
  const depth = 1_000_000;
  const blob = new Uint8Array(72 + 8 * depth);
  const view = new DataView(blob.buffer);
  for (const [n, word] of [0xd00dfeed, blob.length, 56, 40, 40, 17, 16, 0, 0, blob.length - 56].entries())
    view.setUint32(4 * n, word);
  for (let at = 56; at + 8 <= blob.length; at += 8) {
    view.setUint32(at, 1);
    view.setUint32(at + 4, at === 56 ? 0 : 0x61000000);
  }
  assert.throws(() => parseFdt(blob, 'deep'), /64 deep/);
});

test('20,000 blobs with random damage: read, or refused with an ImageError', () => {
  const blob = writeFdt(SAMPLE);
  let refused = 0;
  // Half of the damage is in the header, and often by the numbers that mean something there.
  const byte = fc.oneof(fc.constantFrom(0, 1, 9, 16, 17, 40, 255), fc.nat(255));
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.oneof(fc.nat(39), fc.nat(blob.length - 1)), byte), { minLength: 1, maxLength: 6 }),
      fc.nat(blob.length),
      (changes, length) => {
        const copy = blob.slice();
        for (const [at, value] of changes) copy[at] = value;
        try {
          parseFdt(length % 4 === 0 ? copy.subarray(0, length) : copy, 'fuzzed');
        } catch (error) {
          assert.ok(error instanceof ImageError, String(error));
          refused++;
        }
      },
    ),
    { numRuns: 20_000 },
  );
  assert.ok(refused > 1000, `${refused} refused`);
});
