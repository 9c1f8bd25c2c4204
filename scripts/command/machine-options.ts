/** The options of `dyno emulate --machine`, apart from what runs it: programs start without loading any device. */
import { Option, type Command } from 'commander';
import { ConfigError } from '../../emulator/check/errors.ts';

export interface MachineFlags {
  readonly machine?: 'virt';
  readonly bios?: string;
  readonly kernel?: string;
  readonly initrd?: string;
  readonly append?: string;
  readonly dtb?: string;
  readonly drive?: readonly string[];
  readonly net?: string;
  readonly share?: readonly string[];
  readonly smp?: string;
  readonly virtio?: 'pci' | 'mmio';
  readonly console?: 'serial' | 'virtio';
  readonly mmu?: 'sv39' | 'sv48' | 'sv57';
  readonly screenshot?: string;
  readonly reboot?: boolean;
}

/** RAM unless --memory says otherwise. */
export const MACHINE_MEMORY = '256M';

const ONLY_MACHINE = [
  'bios',
  'kernel',
  'initrd',
  'append',
  'dtb',
  'drive',
  'net',
  'share',
  'smp',
  'virtio',
  'console',
  'mmu',
  'screenshot',
] as const;

export function addMachineOptions(command: Command): Command {
  const collect = (value: string, list: readonly string[] = []): readonly string[] => [...list, value];
  return command
    .addOption(
      new Option('--machine <name>', 'run a whole machine: the common RISC-V board')
        .choices(['virt'])
        .conflicts(['user', 'bare']),
    )
    .option('--bios <file>', 'firmware for machine mode, such as OpenSBI; a built-in SBI serves without')
    .option('--kernel <file>', 'Linux Image, ELF, or a raw binary such as U-Boot')
    .option('--initrd <file>', 'initial RAM disk')
    .option('--append <text>', "the kernel's command line")
    .option('--dtb <file>', "device tree instead of the board's own")
    .option(
      '--drive <file[,ro][,snapshot]>',
      'a disk: a raw image, or sparse:SIZE for an empty one; repeatable',
      collect,
    )
    .option('--net <mode>', 'none, or user[,mac=…][,capture=FILE][,service=ADDRESS:PORT=KIND]')
    .option('--share <dir[,ro][,tag=name]>', 'show a host directory to the guest by 9P; repeatable', collect)
    .option('--smp <n>', 'harts; 1 so far')
    .addOption(new Option('--virtio <transport>', 'where virtio devices are (pci)').choices(['pci', 'mmio']))
    .addOption(new Option('--console <device>', 'what is typed goes there (serial)').choices(['serial', 'virtio']))
    .addOption(new Option('--mmu <mode>', 'widest address translation (sv57)').choices(['sv39', 'sv48', 'sv57']))
    .option('--screenshot <file>', 'add a graphics card; write what it shows at the end as PNG')
    .option('--no-reboot', 'end when the guest resets the machine');
}

/** Refuses options that only a machine has. */
export function refuseMachineOptions(flags: MachineFlags): void {
  const given = ONLY_MACHINE.find((name) => flags[name] !== undefined);
  if (given !== undefined)
    throw new ConfigError('is for machines', { where: `--${given}`, mend: 'give --machine virt' });
}
