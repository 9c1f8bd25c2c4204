import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

/**
 * The pages that the second-level TLB was asked for while Debian's riscv64 kernel 6.12 initialised itself with Sv39, one address space: the
 * last 100,000 of the first 400,000 misses of the first level, recorded from an engine of single blocks with 256 MiB of RAM. In the file:
 * differences between page numbers (27 bits), zigzag-coded, seven bits a byte with the low ones first, gzip around all.
 */
export function bootPages(): Float64Array {
  const bytes = gunzipSync(readFileSync(join(import.meta.dirname, 'boot-pages.gz')));
  const pages: number[] = [];
  let page = 0;
  let value = 0;
  let scale = 1;
  for (const byte of bytes) {
    value += (byte & 0x7f) * scale;
    scale *= 128;
    if (byte >= 128) continue;
    page += value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    pages.push(page);
    value = 0;
    scale = 1;
  }
  return Float64Array.from(pages);
}
