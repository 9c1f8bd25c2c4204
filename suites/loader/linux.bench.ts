import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { writeCpio, type CpioEntry } from '../../emulator/loader/cpio.ts';
import { parseFdt, writeFdt, type Fdt } from '../../emulator/loader/fdt.ts';
import { parseLinuxImage, type LinuxImage } from '../../emulator/loader/linux-image.ts';
import { boardTree } from '../../emulator/machine/riscv-virt/device-tree.ts';
import { defineBench } from '../harness/define-bench.ts';

const boardOf = (harts: number): Fdt =>
  boardTree({ ramSize: 2 ** 29, harts, mmu: 'sv39', extensions: ['i', 'm', 'a', 'f', 'd', 'c', 'sstc'] });

defineBench({
  id: 'loader/fdt/board',
  title: 'describe the virt board with four harts as a tree',
  unit: 'µs',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  work: () => boardOf(4),
  check: (_, tree) => assert.equal((tree as Fdt).root.children.length, 7),
});

defineBench<Fdt>({
  id: 'loader/fdt/write',
  title: 'flatten that tree',
  unit: 'µs',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  setup: () => boardOf(4),
  work: (tree) => writeFdt(tree),
  check: (_, blob) => assert.equal((blob as Uint8Array)[3], 0xed),
  counters: (tree) => ({ 'blob-bytes': writeFdt(tree).length }),
});

defineBench<Uint8Array>({
  id: 'loader/fdt/parse',
  title: 'parse the flattened tree',
  unit: 'µs',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  setup: () => writeFdt(boardOf(4)),
  work: (blob) => parseFdt(blob, 'board'),
  check: (_, tree) => assert.equal((tree as Fdt).root.children.length, 7),
});

const IMAGE_SIZE = 8 * 2 ** 20;

/** An image whose body repeats itself about as much as a kernel does. */
function image(): Uint8Array {
  const bytes = new Uint8Array(IMAGE_SIZE);
  let word = 1;
  for (let at = 64; at < bytes.length; at++) {
    if ((at & 3) === 0) word = Math.imul(word, 1664525) + 1013904223;
    bytes[at] = (at & 0x300) === 0 ? word >>> 24 : at >>> 8;
  }
  const view = new DataView(bytes.buffer);
  view.setBigUint64(8, 0x20_0000n, true);
  view.setBigUint64(16, BigInt(IMAGE_SIZE), true);
  view.setUint32(0x38, 0x0543_5352, true);
  return bytes;
}

defineBench<Uint8Array>({
  id: 'loader/linux-image/parse',
  title: 'check the header of a Linux image',
  unit: 'µs',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  setup: image,
  work: (bytes) => parseLinuxImage(bytes, 'Image'),
  check: (_, kernel) => assert.equal((kernel as LinuxImage).imageSize, IMAGE_SIZE),
});

defineBench<Uint8Array>({
  id: 'loader/linux-image/unzip',
  title: 'unpack and check a gzipped Linux image of 8 MiB',
  unit: 'MiB/s',
  kind: 'throughput',
  direction: 'higher',
  engine: 'tinybench',
  setup: () => gzipSync(image()),
  work: (bytes) => parseLinuxImage(bytes, 'Image.gz'),
  items: () => IMAGE_SIZE,
  check: (_, kernel) => assert.equal((kernel as LinuxImage).bytes.length, IMAGE_SIZE),
});

defineBench<CpioEntry[]>({
  id: 'loader/cpio/write',
  title: 'archive 200 files of 8 KiB',
  unit: 'MiB/s',
  kind: 'throughput',
  direction: 'higher',
  engine: 'tinybench',
  setup: () =>
    Array.from({ length: 200 }, (_, n) => ({
      kind: 'file',
      path: `folder${n % 10}/file${n}`,
      content: new Uint8Array(8192).fill(n),
    })),
  work: (entries) => writeCpio(entries),
  items: () => 200 * 8192,
  check: (_, archive) => assert.ok((archive as Uint8Array).length > 200 * 8192),
  counters: (entries) => ({ 'archive-bytes': writeCpio(entries).length }),
});
