/** Files that commands write on request. */
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import Table from 'cli-table3';

/** Writes the whole file or leaves the old one: a full disk or a kill never leaves half of it. */
export async function writeWhole(path: string, text: string): Promise<void> {
  const target = resolve(path);
  const temporary = `${target}.${process.pid}.part`;
  await mkdir(dirname(target), { recursive: true });
  try {
    await writeFile(temporary, text, { flush: true });
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

export function print(text: string): void {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
}

/** Remarks for people: standard output stays what was asked for. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** A guest address, which engines hold as a signed number, as people write it. */
export function hexAddress(address: number): string {
  return `0x${BigInt.asUintN(64, BigInt(address)).toString(16)}`;
}

/** Columns under a heading, without rules: narrow enough for a terminal and easy to cut. */
export function columns(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const none = '';
  const sides = {
    top: none,
    'top-mid': none,
    'top-left': none,
    'top-right': none,
    left: none,
    right: none,
    'left-mid': none,
  };
  const lines = {
    mid: none,
    'mid-mid': none,
    'right-mid': none,
    bottom: none,
    'bottom-mid': none,
    'bottom-left': none,
    'bottom-right': none,
  };
  const table = new Table({
    head: [...head],
    chars: { ...sides, ...lines, middle: '  ' },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  table.push(...rows.map((row) => [...row]));
  return table.toString();
}
