import { Command, Option } from 'commander';
import { ConfigError } from '../../emulator/check/errors.ts';
import type { Isa } from '../../emulator/isa/instruction.ts';
import { arm64 } from '../../emulator/isa/arm64/index.ts';
import { riscv64 } from '../../emulator/isa/riscv/index.ts';
import { x86_64 } from '../../emulator/isa/x86/index.ts';
import { parseElf } from '../../emulator/loader/elf.ts';
import { readImage } from './emulate.ts';

const ISAS: Readonly<Record<string, Isa>> = { riscv64, aarch64: arm64, x86_64 };

interface Flags {
  readonly isa: string;
  readonly raw?: true;
  readonly base: string;
}

const EXAMPLES = `
Examples:
  dyno disasm --isa riscv64 busybox | head
  dyno disasm --isa aarch64 code.bin --raw --base 0x1000`;

export function command(): Command {
  return new Command('disasm')
    .description('One line per instruction: address, bytes, mnemonic, operands.')
    .argument('<file>', 'an ELF file (its executable sections are shown), or plain code with --raw')
    .addOption(new Option('--isa <isa>', 'architecture').choices(Object.keys(ISAS)).default('riscv64'))
    .option('--raw', 'the file is code without a header')
    .option('--base <address>', 'address of the first byte of a raw file', '0')
    .addHelpText('after', EXAMPLES)
    .action((file: string, flags: Flags) => {
      const bytes = readImage(file);
      const isa = ISAS[flags.isa]!;
      if (flags.raw) {
        if (!/^(0x[0-9a-f]+|\d+)$/i.test(flags.base))
          throw new ConfigError(`'${flags.base}' is not an address`, {
            where: '--base',
            mend: 'write 0x80000000, for instance',
          });
        print(isa, bytes, BigInt(flags.base));
        return;
      }
      const elf = parseElf(bytes, file);
      const sections = elf.sections().filter((section) => section.executable);
      // A stripped file may have no section table; its executable segments are then all there is to show.
      const parts =
        sections.length > 0
          ? sections
          : elf.segments
              .filter((segment) => segment.executable)
              .map((segment) => ({
                name: 'segment',
                address: segment.address,
                fileOffset: segment.fileOffset,
                size: segment.fileSize,
              }));
      for (const { name, address, fileOffset, size } of parts) {
        process.stdout.write(`\n${name}:\n`);
        print(isa, bytes.subarray(fileOffset, fileOffset + size), BigInt(address));
      }
    });
}

/** Prints decoded instructions; bytes that are none are shown one alignment unit at a time. */
function print(isa: Isa, code: Uint8Array, base: bigint): void {
  let text = '';
  for (const { offset, length, assembly } of disassembly(isa, code, base)) {
    const bytes = Buffer.from(code.subarray(offset, offset + length)).toString('hex');
    text += `${(base + BigInt(offset)).toString(16).padStart(8)}:\t${bytes}\t${assembly}\n`;
    if (text.length > 65536) {
      process.stdout.write(text);
      text = '';
    }
  }
  process.stdout.write(text);
}

function* disassembly(
  isa: Isa,
  code: Uint8Array,
  base: bigint,
): Generator<{ offset: number; length: number; assembly: string }> {
  for (let offset = 0; offset < code.length;) {
    const decoded = isa.decode(code, offset);
    const length = decoded?.length ?? Math.min(isa.alignment, code.length - offset);
    const assembly = decoded
      ? isa.disassemble(decoded, base + BigInt(offset))
      : `.byte\t${[...code.subarray(offset, offset + length)].map((byte) => `0x${byte.toString(16).padStart(2, '0')}`).join(', ')}`;
    yield { offset, length, assembly };
    offset += length;
  }
}
