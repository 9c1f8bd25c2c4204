import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { VirtMachine, type VirtOptions } from '../../emulator/machine/riscv-virt/machine.ts';
import { defineBench } from '../harness/define-bench.ts';
import { bootInitramfs, bootInput } from './boot-inputs.ts';
import { boot, type BootRequest, type BootRun } from './boot-run.ts';

/** `jal zero, 0`: a kernel that does nothing for ever. */
const SPIN = Uint8Array.of(0x6f, 0, 0, 0);
const SPINNING: VirtOptions = { kernel: { origin: 'spin', bytes: SPIN }, deterministic: true };

defineBench({
  id: 'boot/machine/start-up',
  title: 'from options to the first guest instruction, 256 MiB of RAM',
  unit: 'ms',
  kind: 'time',
  direction: 'lower',
  engine: 'tinybench',
  target: { value: 50, from: 'issue 4, speed' },
  work: async () => {
    const machine = new VirtMachine(SPINNING);
    const outcome = await machine.run({ maximumInstructions: 1 });
    const { instructions } = machine;
    machine.close();
    return { outcome, instructions };
  },
  check: (_, result) =>
    assert.deepEqual(result, { outcome: { kind: 'limit', limit: 'instructions' }, instructions: 1 }),
});

const firmware = bootInput('opensbi', 'fw_dynamic.bin');
const uBoot = bootInput('u-boot-qemu', 'u-boot.bin');
const linux = bootInput('linux-riscv64');
const file = (origin: string) => ({ origin, bytes: new Uint8Array(readFileSync(origin)) });

/** One boot of each phase costs seconds: counters come from the run that set-up makes. */
interface Booted {
  readonly request: BootRequest;
  readonly run: BootRun;
}

function defineBoot(id: string, title: string, make: () => BootRequest): void {
  defineBench<Booted>({
    id,
    title,
    unit: 'ms',
    kind: 'time',
    direction: 'lower',
    engine: 'tinybench',
    tags: ['riscv64', 'boot'],
    inputs: ['boot-run.ts'],
    setup: async () => {
      const request = make();
      return { request, run: await boot(request) };
    },
    work: ({ request }) => boot(request),
    check: ({ request }, run) => assert.equal((run as BootRun).phases.length, request.phases!.length),
    counters: ({ run }) =>
      Object.fromEntries(run.phases.map(({ name, instructions }) => [`${name}-instructions`, instructions])),
  });
}

// Real inputs are fetched on request; without them there is nothing to measure.
if (typeof firmware === 'string' && typeof uBoot === 'string') {
  defineBoot('boot/u-boot/first-line', "OpenSBI, up to U-Boot's first line", () => ({
    machine: { firmware: file(firmware), kernel: file(uBoot), deterministic: true },
    phases: [
      { name: 'first-line', until: 'OpenSBI v' },
      { name: 'firmware', until: 'U-Boot 20' },
    ],
    stopAfterPhases: true,
    maximumInstructions: 100e6,
  }));
}
if (typeof linux === 'string' && process.env['DYNO_BOOTS'] !== undefined) {
  defineBoot('boot/linux/first-line', 'built-in SBI, up to the first line of Linux', () => ({
    machine: { kernel: file(linux), append: 'earlycon=sbi', deterministic: true },
    phases: [{ name: 'kernel', until: 'Linux version' }],
    stopAfterPhases: true,
    maximumInstructions: 500e6,
  }));
  const initramfs = bootInitramfs();
  defineBoot('boot/linux/power-off', 'built-in SBI, Linux and its init, up to power-off', () => ({
    machine: {
      kernel: file(linux),
      initrd: file(initramfs),
      append: 'console=ttyS0 earlycon=sbi dyno.run=boot',
      deterministic: true,
    },
    phases: [
      { name: 'firmware', until: 'Linux version' },
      { name: 'kernel', until: 'init: started' },
      { name: 'init', until: 'init: boot ended' },
      { name: 'power-off', until: 'Power down' },
    ],
    maximumInstructions: 10e9,
  }));
}
