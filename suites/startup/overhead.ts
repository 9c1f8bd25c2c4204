/**
 * A process of its own for `memory.bench.ts`: prints the KiB of resident memory that running one tiny program added beyond the guest's own
 * pages. `first`: in a process that has loaded the emulator and run nothing; `further`: with some machines in memory, the mean of more.
 */
import { setFlagsFromString } from 'node:v8';
import { setTimeout } from 'node:timers/promises';
import { runInNewContext } from 'node:vm';
import { Vcpu } from '../../emulator/cpu/vcpu.ts';
import { riscv64 } from '../../emulator/isa/riscv/index.ts';
import { PAGE_SIZE, Permission } from '../../emulator/layout/memory-map.ts';
import { FlatMemory } from '../../emulator/memory/flat.ts';

const CODE = 0x1_0000;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Resident KiB once the process has given back what it will: a single reading after one collection is off by megabytes. */
async function residentKiB(): Promise<number> {
  let last = Infinity;
  for (let turn = 0; turn < 20; turn++) {
    collectGarbage();
    await setTimeout(15);
    const now = process.memoryUsage.rss() / 1024;
    if (Math.abs(now - last) < 8) return now;
    last = now;
  }
  return last;
}

/** Counts a register down in one guest page. */
function runProgram(): Vcpu {
  const memory = new FlatMemory(1 << 24);
  for (const [index, line] of ['addi t0,zero,1000', 'addi t0,t0,-1', 'bne t0,zero,0x10004', 'ecall'].entries()) {
    const bytes = riscv64.assemble(line, BigInt(CODE + 4 * index));
    if ('error' in bytes) throw new Error(bytes.error);
    memory.bytes.set(bytes, CODE + 4 * index);
  }
  memory.protect(CODE, PAGE_SIZE, Permission.read | Permission.execute);
  const vcpu = new Vcpu(riscv64, memory.memory, { guestSize: memory.size });
  vcpu.pc = BigInt(CODE);
  vcpu.run(1e6);
  if (vcpu.counters.instructions !== 2001) throw new Error(`ran ${vcpu.counters.instructions} instructions`);
  return vcpu;
}

/** One further machine is lost in what the process itself gives back and takes; so many are not. */
const MACHINES = { first: { before: 0, measured: 1 }, further: { before: 8, measured: 48 } };

const { before, measured } = process.argv[2] === 'further' ? MACHINES.further : MACHINES.first;
const kept: Vcpu[] = [];
for (let i = 0; i < before; i++) kept.push(runProgram());
const resident = await residentKiB();
for (let i = 0; i < measured; i++) kept.push(runProgram());
const added = ((await residentKiB()) - resident) / measured - PAGE_SIZE / 1024;
for (const vcpu of kept) vcpu.checkInvariants();
process.stdout.write(`${added}\n`);
