import type { Isa } from '../isa/instruction.ts';
import { ExitReason } from '../layout/state.ts';
import type { UserCpu } from '../linux-user/process.ts';
import type { FlatMemory } from '../memory/flat.ts';

/** A program that never ends would fill the disk. */
const LONGEST_TRACE = 10_000_000;
/** Lines are handed on in pieces of about so many characters. */
const PIECE = 65536;

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
  attach<T extends UserCpu>(cpu: T, isa: Isa, memory: FlatMemory): T {
    const number = ++this.#vcpus;
    const run = cpu.run.bind(cpu);
    const traced = (budget: number): ExitReason => {
      let left = budget;
      for (; left > 0 && this.#lines < this.#limit; left--) {
        this.#note(`${number} ${lineOf(isa, memory, cpu.pc)}\n`);
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

function lineOf(isa: Isa, { bytes, size }: FlatMemory, pc: bigint): string {
  const decoded = pc < BigInt(size) ? isa.decode(bytes, Number(pc)) : undefined;
  const address = `0x${pc.toString(16)}`;
  if (decoded === undefined) return `${address}: no instruction`;
  const code = Buffer.from(bytes.subarray(Number(pc), Number(pc) + decoded.length)).toString('hex');
  return `${address}: ${code.padEnd(8)} ${isa.disassemble(decoded, pc)}`;
}
