import { riscv64 } from '../../emulator/isa/riscv/index.ts';
import { X } from '../../emulator/isa/riscv/registers.ts';
import type { Vcpu } from '../../emulator/cpu/vcpu.ts';
import { FlatMemory } from '../../emulator/memory/flat.ts';
import { Permission } from '../../emulator/layout/memory-map.ts';
import type { PlainInterpreter } from './plain-interpreter.ts';

/** Where the program and its 64 KiB of data stand. */
export const CODE = 0x1_0000;
export const DATA = 0x10_0000;
export const DATA_SIZE = 0x2_0000;

/**
 * A mix of 64-bit integer instructions as compilers write them: xorshift, loads and stores at random places, a multiplication, a branch that
 * goes either way at random, a call. 25 or 26 instructions an iteration on average; ends with an environment call.
 */
const SOURCE = `
  lui t0,0x12345
  addi t0,t0,1656
  addi t1,zero,1
  addi a2,zero,0
  lui a5,0x10
  addi a5,a5,-8
loop:
  slli t2,t0,0xd
  xor t0,t0,t2
  srli t2,t0,0x7
  xor t0,t0,t2
  slli t2,t0,0x11
  xor t0,t0,t2
  and t3,t0,a5
  add t3,t3,a1
  ld t4,0(t3)
  add t4,t4,t0
  sd t4,0(t3)
  mul t5,t4,t1
  addi t1,t1,2
  add a2,a2,t5
  andi t6,t0,1
  beq t6,zero,even
  sltu t6,t4,t0
  add a2,a2,t6
  lw a3,4(t3)
  addw a2,a2,a3
  jal ra,leaf
  jal zero,next
even:
  lbu a3,3(t3)
  sb a3,5(t3)
  sub a2,a2,a3
  srai a4,t4,0x5
  or a2,a2,a4
next:
  addi a0,a0,-1
  bne a0,zero,loop
  ecall
leaf:
  xori a2,a2,85
  addiw a4,a2,3
  add a2,a2,a4
  jalr zero,0(ra)
`;

/** The program's bytes. All its instructions are 4 bytes long, so labels are known before anything is assembled. */
export function assembleMix(): Uint8Array {
  const labels = new Map<string, number>();
  const lines: string[] = [];
  for (const line of SOURCE.trim()
    .split('\n')
    .map((each) => each.trim())) {
    if (line.endsWith(':')) labels.set(line.slice(0, -1), CODE + 4 * lines.length);
    else lines.push(line);
  }
  const code = new Uint8Array(4 * lines.length);
  for (const [index, line] of lines.entries()) {
    const resolved = line.replace(/[a-z]+$/, (word) =>
      labels.has(word) ? `0x${labels.get(word)!.toString(16)}` : word,
    );
    const bytes = riscv64.assemble(resolved, BigInt(CODE + 4 * index));
    if ('error' in bytes) throw new Error(`${resolved}: ${bytes.error}`);
    code.set(bytes, 4 * index);
  }
  return code;
}

const A0 = 10;
const A1 = 11;
const A2 = 12;

/** A guest memory with the program in place. */
export function mixMemory(): FlatMemory {
  const memory = new FlatMemory(1 << 24);
  memory.bytes.set(assembleMix(), CODE);
  memory.protect(CODE, 0x1000, Permission.read | Permission.execute);
  memory.protect(DATA, DATA_SIZE, Permission.read | Permission.write);
  return memory;
}

/** Runs so many iterations from fresh data; the result is the program's checksum. */
export function runMix(vcpu: Vcpu, memory: FlatMemory, iterations: number): bigint {
  memory.bytes.fill(0, DATA, DATA + DATA_SIZE);
  vcpu.pc = BigInt(CODE);
  vcpu.setRegister(X, A0, BigInt(iterations));
  vcpu.setRegister(X, A1, BigInt(DATA));
  vcpu.run(Number.MAX_SAFE_INTEGER);
  return vcpu.getRegister(X, A2);
}

/** The same in the plain interpreter; `memory` is the one it was made with. */
export function runPlainMix(interpreter: PlainInterpreter, memory: ArrayBuffer, iterations: number): bigint {
  new Uint8Array(memory).fill(0, DATA, DATA + DATA_SIZE);
  const { registers } = interpreter;
  registers[2 * A0] = iterations;
  registers[2 * A0 + 1] = 0;
  registers[2 * A1] = DATA;
  registers[2 * A1 + 1] = 0;
  interpreter.run(CODE, Number.MAX_SAFE_INTEGER);
  return BigInt.asUintN(64, (BigInt(registers[2 * A2 + 1]!) << 32n) | BigInt(registers[2 * A2]! >>> 0));
}
