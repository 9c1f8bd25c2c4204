/** The public face of the emulator: everything others may rely on. */
export { ConfigError, HostError, ImageError } from './check/errors.ts';
export { Vcpu, type VcpuCounters, type VcpuOptions } from './cpu/vcpu.ts';
export { ReferenceCpu } from './cpu/reference.ts';
export type { Decoded, Instruction, Isa } from './isa/instruction.ts';
export { arm64 } from './isa/arm64/index.ts';
export { riscv64 } from './isa/riscv/index.ts';
export { x86_64 } from './isa/x86/index.ts';
export { ExitReason, FaultKind } from './layout/state.ts';
export { parseMount, type Mount } from './linux-user/filesystem.ts';
export type { GuestFault, Outcome } from './linux-user/outcome.ts';
export { ByteSink, ByteSource, HostStream } from './linux-user/stdio.ts';
export { parseElf, type ElfImage } from './loader/elf.ts';
export { runBare, type BareOptions, type BareResult } from './machine/bare.ts';
export { VirtMachine, type MachineOutcome, type RunLimits, type VirtOptions } from './machine/riscv-virt/machine.ts';
export type { Tier } from './machine/tier.ts';
export { runUser, type UserOptions, type UserResult } from './machine/user.ts';
export { FlatMemory } from './memory/flat.ts';
