import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { ImageError } from '../check/errors.ts';
import { input } from '../../scripts/inputs.ts';
import { looksLikeLinuxImage, parseLinuxImage, placeLinux, type BootRequest } from './linux-image.ts';

interface Fields {
  textOffset?: bigint;
  imageSize?: bigint;
  flags?: bigint;
  version?: number;
  magic2?: number;
}

function image(fields: Fields = {}, length = 4096): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0x08, fields.textOffset ?? 0x20_0000n, true);
  view.setBigUint64(0x10, fields.imageSize ?? 0x80_0000n, true);
  view.setBigUint64(0x18, fields.flags ?? 0n, true);
  view.setUint32(0x20, fields.version ?? 2, true);
  view.setUint32(0x38, fields.magic2 ?? 0x05435352, true);
  return bytes;
}

test('the header is read, zeroed data counted', () => {
  const { textOffset, imageSize, version, bytes } = parseLinuxImage(image(), 'Image');
  assert.deepEqual([textOffset, imageSize, version, bytes.length], [0x20_0000, 0x80_0000, [0, 2], 4096]);
});

test('a gzipped image is unpacked first', () => {
  const plain = image();
  const { bytes } = parseLinuxImage(gzipSync(plain), 'Image.gz');
  assert.deepEqual([...bytes], [...plain]);
});

test('an image of unknown size is as large as its file', () => {
  assert.equal(parseLinuxImage(image({ imageSize: 0n }), 'old').imageSize, 4096);
});

for (const [what, file, message] of [
  ['nothing', new Uint8Array(0), /not a RISC-V Linux image/],
  ['63 bytes', image().subarray(0, 63), /not a RISC-V Linux image/],
  ['another magic', image({ magic2: 0x644d5241 }), /RSC/],
  ['a big-endian kernel', image({ flags: 1n }), /big-endian/],
  ['an endless image', image({ imageSize: 1n << 63n }), /image_size/],
  ['an offset beyond everything', image({ textOffset: 1n << 62n }), /text_offset/],
  ['an unaligned offset', image({ textOffset: 3n }), /text_offset/],
  ['an archive cut short', gzipSync(image()).subarray(0, 30), /cannot be unzipped/],
  ['an archive of something else', gzipSync(new Uint8Array(100)), /not a RISC-V Linux image/],
] as const) {
  test(`refused: ${what}`, () => {
    assert.throws(
      () => parseLinuxImage(file, 'Image'),
      (error) => error instanceof ImageError && error.where === 'Image' && message.test(error.message),
    );
  });
}

test('what is an image is told by its magic', () => {
  assert.ok(looksLikeLinuxImage(image()));
  assert.ok(looksLikeLinuxImage(gzipSync(image())));
  assert.ok(!looksLikeLinuxImage(new TextEncoder().encode('\x7fELF'.padEnd(100))));
});

const REQUEST: BootRequest = {
  ramBase: 0x8000_0000,
  ramSize: 512 * 2 ** 20,
  firmwareSize: 0,
  kernel: { textOffset: 0x20_0000, imageSize: 0x1e6_b000 },
  initrdSize: 5_000_001,
  deviceTreeSize: 9000,
};

test('kernel at its offset, device tree on the last 2 MiB boundary, RAM disk below it', () => {
  assert.deepEqual(placeLinux(REQUEST, 'Image'), {
    kernel: 0x8020_0000,
    deviceTree: 0x9fe0_0000,
    initrd: 0x9f93_b000,
  });
});

test('firmware larger than the kernel’s offset moves the kernel to the next 2 MiB', () => {
  assert.equal(placeLinux({ ...REQUEST, firmwareSize: 0x20_0001 }, 'Image').kernel, 0x8040_0000);
});

test('a RAM disk of one byte has a page, none has none', () => {
  assert.equal(placeLinux({ ...REQUEST, initrdSize: 1 }, 'Image').initrd, 0x9fdf_f000);
  assert.equal(placeLinux({ ...REQUEST, initrdSize: 0 }, 'Image').initrd, undefined);
});

test('too little RAM is refused with the size that would do', () => {
  const small = { ...REQUEST, ramSize: 32 * 2 ** 20 };
  assert.throws(
    () => placeLinux(small, 'Image'),
    (error) => error instanceof ImageError && /32 MiB/.test(error.message) && /--memory \d+M/.test(error.line()),
  );
});

test('nothing overlaps, everything lies in RAM and is aligned, or it is refused', () => {
  fc.assert(
    fc.property(
      fc.record({
        ramSize: fc.integer({ min: 4, max: 3072 }).map((mebibytes) => mebibytes * 2 ** 20),
        firmwareSize: fc.nat(4 * 2 ** 20),
        textOffset: fc.nat(16).map((n) => n * 0x1000),
        imageSize: fc.nat(256 * 2 ** 20),
        initrdSize: fc.nat(256 * 2 ** 20),
        deviceTreeSize: fc.integer({ min: 100, max: 2 ** 20 }),
      }),
      ({ textOffset, imageSize, ...rest }) => {
        const request = { ramBase: 0x8000_0000, kernel: { textOffset, imageSize }, ...rest };
        let layout;
        try {
          layout = placeLinux(request, 'Image');
        } catch (error) {
          assert.ok(error instanceof ImageError);
          const mebibytes = Number(/--memory (\d+)M/.exec(error.mend ?? '')![1]);
          assert.ok(mebibytes * 2 ** 20 > request.ramSize);
          layout = placeLinux({ ...request, ramSize: mebibytes * 2 ** 20 }, 'Image');
          assert.ok(layout.deviceTree > 0);
          return;
        }
        const { kernel, initrd, deviceTree } = layout;
        assert.ok(kernel >= 0x8000_0000 + request.firmwareSize && kernel % 4096 === 0);
        assert.ok(kernel + imageSize <= (initrd ?? deviceTree));
        if (initrd !== undefined) assert.ok(initrd % 4096 === 0 && initrd + request.initrdSize <= deviceTree);
        assert.ok(deviceTree % (2 * 2 ** 20) === 0);
        assert.ok(deviceTree + request.deviceTreeSize <= 0x8000_0000 + request.ramSize);
      },
    ),
    { numRuns: 2000 },
  );
});

test('Debian’s kernel is an image of header version 0.2', async (t) => {
  const kernel = await input('linux-riscv64');
  if ('absent' in kernel) return t.skip(kernel.absent);
  const { textOffset, imageSize, version } = parseLinuxImage(await readFile(kernel.path), kernel.path);
  assert.deepEqual([textOffset, version], [0x20_0000, [0, 2]]);
  assert.ok(imageSize > 16 * 2 ** 20);
});
