import { PAGE_SIZE } from '../layout/memory-map.ts';
import type { FlatMemory } from '../memory/flat.ts';
import { WOULD_BLOCK, type OpenFile } from './file.ts';

/** What is mapped: a file, or memory that parent and children have in common. Offsets and lengths in bytes. */
interface Backing {
  /** Mappings of it: nobody can see what is stored to one that is alone and no file. */
  mappings: number;
  readonly file: boolean;
  read(into: Uint8Array, offset: number): void;
  write(from: Uint8Array, offset: number): void;
  close(): void;
}

/** A file keeps being open while it is mapped (mmap(2)). Bytes past its end read as zero, and what is stored there is dropped. */
class FileBacking implements Backing {
  mappings = 0;
  readonly file = true;
  readonly #open: OpenFile;

  constructor(open: OpenFile) {
    this.#open = open;
    open.references++;
  }

  read(into: Uint8Array, offset: number): void {
    const count = this.#open.read(into, offset);
    into.fill(0, count === WOULD_BLOCK || count < 0 ? 0 : count);
  }

  write(from: Uint8Array, offset: number): void {
    const status = this.#open.status();
    const size = typeof status === 'number' ? 0 : status.size;
    // A disk that is full loses the store, as Linux does once it has said so to msync.
    if (offset < size) this.#open.write(from.subarray(0, size - offset), offset);
  }

  close(): void {
    if (--this.#open.references === 0) this.#open.close();
  }
}

/** MAP_SHARED | MAP_ANONYMOUS: its bytes lie here once a fork has made a second mapping of them. */
class AnonymousBacking implements Backing {
  mappings = 0;
  readonly file = false;
  readonly #bytes: Uint8Array;

  constructor(size: number) {
    this.#bytes = new Uint8Array(size);
  }

  read(into: Uint8Array, offset: number): void {
    into.set(this.#bytes.subarray(offset, offset + into.length));
  }

  write(from: Uint8Array, offset: number): void {
    this.#bytes.set(from, offset);
  }

  close(): void {}
}

interface Mapping {
  readonly address: number;
  readonly offset: number;
  readonly backing: Backing;
  /** The bytes as the backing last had them: what differs from them has been stored since. Its length is the mapping's. */
  readonly known: Uint8Array;
}

/**
 * The shared mappings of a process. Each process has a memory of its own, and only one runs at a time, so stores need to be seen by others
 * only when another one runs or a system call looks at files: then `push` gives away what has been stored, and `pull` takes what others did.
 * Two mappings of the same bytes in one process see each other's stores no earlier than that.
 */
export class SharedMappings {
  readonly #memory: FlatMemory;
  readonly #flush: (address: number, length: number) => void;
  #list: Mapping[] = [];

  constructor(memory: FlatMemory, flush: (address: number, length: number) => void) {
    this.#memory = memory;
    this.#flush = flush;
  }

  get size(): number {
    return this.#list.length;
  }

  /** Whole pages from `address` on show the file from `offset` on. */
  addFile(address: number, size: number, file: OpenFile, offset: number): void {
    this.#add(address, new Uint8Array(size), new FileBacking(file), offset);
    this.pull();
  }

  addAnonymous(address: number, size: number): void {
    this.#add(address, new Uint8Array(size), new AnonymousBacking(size), 0);
  }

  /** Gives what has been stored to the files and to whoever maps the same. */
  push(): void {
    for (const mapping of this.#list) if (visible(mapping)) this.#push(mapping);
  }

  /** Takes what the files and the others have by now. What this process has stored has been pushed before. */
  pull(): void {
    for (const { address, offset, backing, known } of this.#list.filter(visible)) {
      const fresh = new Uint8Array(known.length);
      backing.read(fresh, offset);
      for (const [start, end] of differences(fresh, known)) {
        known.set(fresh.subarray(start, end), start);
        this.#memory.bytes.set(fresh.subarray(start, end), address + start);
        this.#flush(address + start, end - start);
      }
    }
  }

  /** Pages that are unmapped, or about to be mapped anew: what was stored there is pushed. */
  remove(address: number, size: number): void {
    const end = address + size;
    for (const mapping of this.#list) {
      const last = mapping.address + mapping.known.length;
      if (mapping.address >= end || last <= address) continue;
      this.#push(mapping);
      if (mapping.address < address) this.#part(mapping, 0, address - mapping.address);
      if (last > end) this.#part(mapping, end - mapping.address, mapping.known.length);
      this.#drop(mapping);
    }
  }

  /** mremap(2): the mapping that holds the range goes on at `to`, `newSize` bytes long. False when the range is in none. */
  move(address: number, size: number, to: number, newSize: number): boolean {
    const mapping = this.#list.find((each) => within(each, address, size));
    if (mapping === undefined) return false;
    this.#push(mapping);
    const known = new Uint8Array(newSize);
    const offset = mapping.offset + address - mapping.address;
    mapping.backing.read(known, offset);
    this.#memory.bytes.set(known, to);
    this.#add(to, known, mapping.backing, offset);
    return true;
  }

  /** Whether the range is in no mapping, in one of a file, or in one that cannot grow: memory without a file is as long as it was made. */
  holding(address: number, size: number): 'none' | 'file' | 'other' {
    const touched = this.#list.filter(
      (each) => each.address < address + size && each.address + each.known.length > address,
    );
    if (touched.length === 0) return 'none';
    return touched.length === 1 && touched[0]!.backing.file && within(touched[0]!, address, size) ? 'file' : 'other';
  }

  /** For a forked process, whose memory is a copy: both go on with the same bytes. */
  fork(memory: FlatMemory, flush: (address: number, length: number) => void): SharedMappings {
    const copy = new SharedMappings(memory, flush);
    for (const mapping of this.#list) {
      this.#push(mapping);
      copy.#add(mapping.address, mapping.known.slice(), mapping.backing, mapping.offset);
    }
    return copy;
  }

  /** Pushes and lets go of everything. */
  close(): void {
    for (const mapping of this.#list) {
      if (visible(mapping)) this.#push(mapping);
      this.#drop(mapping);
    }
  }

  #add(address: number, known: Uint8Array, backing: Backing, offset: number): void {
    backing.mappings++;
    this.#list.push({ address, offset, backing, known });
  }

  #part(mapping: Mapping, start: number, end: number): void {
    this.#add(mapping.address + start, mapping.known.slice(start, end), mapping.backing, mapping.offset + start);
  }

  #drop(mapping: Mapping): void {
    this.#list = this.#list.filter((each) => each !== mapping);
    if (--mapping.backing.mappings === 0) mapping.backing.close();
  }

  #push({ address, offset, backing, known }: Mapping): void {
    const now = this.#memory.bytes.subarray(address, address + known.length);
    for (const [start, end] of differences(now, known)) {
      known.set(now.subarray(start, end), start);
      backing.write(now.subarray(start, end), offset + start);
    }
  }
}

function visible({ backing }: Mapping): boolean {
  return backing.file || backing.mappings > 1;
}

function within({ address, known }: Mapping, start: number, size: number): boolean {
  return address <= start && start + size <= address + known.length;
}

/** In each page that differs the range from the first to the last byte that does. */
function* differences(now: Uint8Array, before: Uint8Array): Generator<readonly [start: number, end: number]> {
  for (let page = 0; page < now.length; page += PAGE_SIZE) {
    const limit = Math.min(page + PAGE_SIZE, now.length);
    if (Buffer.compare(now.subarray(page, limit), before.subarray(page, limit)) === 0) continue;
    let start = page;
    let end = limit;
    while (now[start] === before[start]) start++;
    while (now[end - 1] === before[end - 1]) end--;
    yield [start, end];
  }
}
