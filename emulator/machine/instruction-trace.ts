import type { Isa } from '../isa/instruction.ts';
import { ExitReason } from '../layout/state.ts';
import type { FlatMemory } from '../memory/flat.ts';
import type { Mmu } from '../memory/mmu.ts';
import { Access } from '../memory/regime.ts';
import { TRANSLATION_DEVICE, TRANSLATION_FAULT } from '../memory/translation.ts';

/** A program that never ends would fill the disk. */
const LONGEST_TRACE = 10_000_000;
/** Lines are handed on in pieces of about so many characters. */
const PIECE = 65536;

/** What a trace needs of a vCPU. */
interface TracedCpu {
  run(budget: number): ExitReason;
  pc: bigint;
}

/** The bytes that may be fetched at a guest address, as many as an instruction can have; fewer, or none, before a fault. */
export type Fetch = (pc: bigint) => Uint8Array;

/**
 * One line for each instruction before it is run: number of the vCPU in the order they were made (each process has one, each program it
 * executes another), address, bytes, assembly. An instruction that traps is shown each time it is tried.
 */
export class InstructionTrace {
  readonly #write: (text: string) => void;
  readonly #limit: number;
  #lines = 0;
  #vcpus = 0;
  #pending = '';

  constructor(write: (text: string) => void, limit = LONGEST_TRACE) {
    this.#write = write;
    this.#limit = limit;
  }

  /** The same vCPU, run instruction by instruction as long as the trace is not full. */
  attach<T extends TracedCpu>(cpu: T, isa: Isa, fetch: Fetch): T {
    const number = ++this.#vcpus;
    const run = cpu.run.bind(cpu);
    const traced = (budget: number): ExitReason => {
      let left = budget;
      for (; left > 0 && this.#lines < this.#limit; left--) {
        this.#note(`${number} ${lineOf(isa, fetch, cpu.pc)}\n`);
        const reason = run(1);
        if (reason !== ExitReason.budget) return reason;
      }
      return left > 0 ? run(left) : ExitReason.budget;
    };
    return Object.assign(cpu, { run: traced });
  }

  /** Hands on what is left. */
  close(): void {
    if (this.#lines >= this.#limit) this.#pending += `# ended after ${this.#limit} instructions\n`;
    if (this.#pending !== '') this.#write(this.#pending);
    this.#pending = '';
  }

  #note(line: string): void {
    this.#lines++;
    this.#pending += line;
    if (this.#pending.length < PIECE) return;
    this.#write(this.#pending);
    this.#pending = '';
  }
}

/** Fetches from memory without address translation. */
export function flatFetch(isa: Isa, { bytes, size }: FlatMemory): Fetch {
  return (pc) => (pc < BigInt(size) ? bytes.subarray(Number(pc), Number(pc) + isa.maximumLength) : new Uint8Array());
}

/** Fetches by way of an MMU over linear memory, as the vCPU is about to do. */
export function translatedFetch(isa: Isa, mmu: Mmu, memory: WebAssembly.Memory): Fetch {
  const linear = new Uint8Array(memory.buffer);
  const parcel = isa.alignment;
  return (pc) => {
    const found: number[] = [];
    for (let at = 0; at < isa.maximumLength; at += parcel) {
      const gva = BigInt.asIntN(64, pc + BigInt(at));
      const low = Number(BigInt.asIntN(32, gva));
      const place = mmu.translate(low, Number(gva >> 32n), Access.execute, parcel);
      if (place === TRANSLATION_FAULT || place === TRANSLATION_DEVICE) break;
      found.push(...linear.subarray(place >>> 0, (place >>> 0) + parcel));
      // The next page need not be there for an instruction that ends before it.
      if (isa.decode(Uint8Array.from(found), 0) !== undefined) break;
    }
    return Uint8Array.from(found);
  };
}

function lineOf(isa: Isa, fetch: Fetch, pc: bigint): string {
  const bytes = fetch(pc);
  const decoded = isa.decode(bytes, 0);
  const address = `0x${pc.toString(16)}`;
  if (decoded === undefined) return `${address}: no instruction`;
  const code = Buffer.from(bytes.subarray(0, decoded.length)).toString('hex');
  return `${address}: ${code.padEnd(8)} ${isa.disassemble(decoded, pc)}`;
}
