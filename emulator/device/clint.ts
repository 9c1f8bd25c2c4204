import { MachineTimer, MAX_HARTS, Mswi } from './aclint.ts';
import type { Clock, InterruptLine } from './device.ts';
import { RegisterBlock, RegisterDevice } from './register-block.ts';

const SPECIFICATION = 'RISC-V Advanced Core Local Interruptor Specification';

export interface ClintHart {
  /** Machine software interrupt (MSIP). */
  readonly software: InterruptLine;
  /** Machine timer interrupt (MTIP). */
  readonly timer: InterruptLine;
}

/** The core-local interruptor of SiFive's layout, which is an MSWI at 0 and an MTIMER at 0x4000. */
export class Clint extends RegisterDevice<Clint> {
  static readonly block = new RegisterBlock<Clint>(
    'CLINT: timer and software interrupts',
    SPECIFICATION,
    0x1_0000,
    [4, 8],
    [
      {
        name: 'msip',
        offset: 0,
        width: 4,
        count: MAX_HARTS,
        doc: 'bit 0 is the software interrupt of hart n; the rest reads as 0',
        spec: 'Backward Compatibility With SiFive CLINT',
        read: ({ software }, hart) => software.read(4 * hart, 4),
        write: ({ software }, value, hart) => software.write(4 * hart, 4, value),
      },
      {
        name: 'mtimecmp',
        offset: 0x4000,
        width: 8,
        count: MAX_HARTS,
        reset: 'varies',
        doc: 'the timer interrupt of hart n is high while mtime >= mtimecmp; all ones after a reset',
        spec: 'Backward Compatibility With SiFive CLINT',
        read: ({ timer }, hart) => timer.compare(hart),
        write: ({ timer }, value, hart) => timer.setCompare(hart, BigInt(value)),
      },
      {
        name: 'mtime',
        offset: 0xbff8,
        width: 8,
        reset: 'varies',
        doc: 'ticks of the timebase',
        spec: 'Backward Compatibility With SiFive CLINT',
        read: ({ timer }) => timer.time,
        write: ({ timer }, value) => (timer.time = BigInt(value)),
      },
    ],
  );

  readonly name = 'clint';
  readonly software: Mswi;
  readonly timer: MachineTimer;

  constructor(clock: Clock, harts: readonly ClintHart[]) {
    super(Clint.block);
    this.software = new Mswi(harts.map(({ software }) => software));
    this.timer = new MachineTimer(
      clock,
      harts.map(({ timer }) => timer),
    );
  }

  reset(): void {
    this.software.reset();
    this.timer.reset();
  }
}
