import fs from 'node:fs';
import { assert } from '../../../check/assert.ts';
import type { Path } from './confined-tree.ts';

/** What a fid was opened as. */
export type Opened =
  | { readonly kind: 'file'; readonly descriptor: number; readonly writes: boolean }
  | { readonly kind: 'directory'; readonly names: readonly string[] | undefined };

/** A client's handle of a place in the tree. */
export interface Fid {
  path: Path;
  opened: Opened | undefined;
}

/** Names all open directories together may hold: a guest can make a large directory and open it many times. */
const MAXIMUM_NAMES = 1 << 20;

/** The client's fids. What they hold on the host is bounded. */
export class FidTable {
  readonly #fids = new Map<number, Fid>();
  readonly #maximumFids: number;
  readonly #maximumOpen: number;
  #open = 0;
  #names = 0;

  constructor(maximumFids: number, maximumOpen: number) {
    this.#maximumFids = maximumFids;
    this.#maximumOpen = maximumOpen;
  }

  get size(): number {
    return this.#fids.size;
  }

  /** Files open on the host. */
  get open(): number {
    return this.#open;
  }

  get full(): boolean {
    return this.#fids.size >= this.#maximumFids;
  }

  get openFull(): boolean {
    return this.#open >= this.#maximumOpen;
  }

  get(number: number): Fid | undefined {
    return this.#fids.get(number);
  }

  has(number: number): boolean {
    return this.#fids.has(number);
  }

  add(number: number, path: Path): void {
    this.#fids.set(number, { path, opened: undefined });
  }

  setOpened(fid: Fid, opened: Opened): void {
    fid.opened = opened;
    if (opened.kind === 'file') this.#open += 1;
  }

  /** Keeps what an open directory holds. False when that would be too much. */
  setNames(fid: Fid, names: readonly string[]): boolean {
    const before = fid.opened?.kind === 'directory' ? (fid.opened.names?.length ?? 0) : 0;
    if (this.#names - before + names.length > MAXIMUM_NAMES) return false;
    this.#names += names.length - before;
    fid.opened = { kind: 'directory', names };
    return true;
  }

  /** Forgets a fid and closes what it holds. False when there was none. */
  clunk(number: number): boolean {
    const fid = this.#fids.get(number);
    if (fid === undefined) return false;
    this.#fids.delete(number);
    if (fid.opened?.kind === 'file') {
      this.#open -= 1;
      fs.closeSync(fid.opened.descriptor);
    } else this.#names -= fid.opened?.names?.length ?? 0;
    return true;
  }

  clear(): void {
    for (const number of this.#fids.keys()) this.clunk(number);
  }

  checkInvariants(): void {
    let open = 0;
    let names = 0;
    for (const { opened } of this.#fids.values()) {
      if (opened?.kind === 'file') open += 1;
      else names += opened?.names?.length ?? 0;
    }
    assert(open === this.#open && open <= this.#maximumOpen, 'open files are counted and bounded');
    assert(names === this.#names && names <= MAXIMUM_NAMES, 'names kept are counted and bounded');
    assert(this.#fids.size <= this.#maximumFids, 'fids are bounded');
  }

  /** Something was renamed: fids at it and below it go with it. */
  renamed(from: Path, to: Path): void {
    for (const fid of this.#fids.values()) {
      if (fid.path.length >= from.length && from.every((name, i) => fid.path[i] === name))
        fid.path = [...to, ...fid.path.slice(from.length)];
    }
  }
}
