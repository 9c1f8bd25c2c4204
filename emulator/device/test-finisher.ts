import { RegisterBlock, RegisterDevice } from './register-block.ts';

/** What a write to the finisher asks for. */
export const FinisherCommand = { fail: 0x3333, pass: 0x5555, reset: 0x7777 } as const;

/** How the guest ended itself. */
export type Finish =
  | { readonly kind: 'pass' }
  /** `code` is 0 to 65535. */
  | { readonly kind: 'fail'; readonly code: number }
  | { readonly kind: 'reset' };

/**
 * SiFive's test finisher, by which bare-metal programs end and, as a syscon in the device tree, firmware and kernels power off and reboot.
 * Commands it does not know are ignored.
 */
export class TestFinisher extends RegisterDevice<TestFinisher> {
  static readonly block = new RegisterBlock<TestFinisher>(
    'Test finisher',
    'SiFive test device ("sifive,test0")',
    0x1000,
    [2, 4],
    [
      {
        name: 'finish',
        offset: 0,
        width: 4,
        doc: '0x5555 powers off, 0x3333 with a code in the upper half powers off with that code, 0x7777 resets',
        spec: 'finisher',
        read: () => 0,
        write: (finisher, value) => finisher.#command(Number(value)),
      },
    ],
  );

  readonly name = 'finisher';
  readonly #finish: (finish: Finish) => void;

  /** `finish` is called at once; the machine should stop before the guest's next instruction. */
  constructor(finish: (finish: Finish) => void) {
    super(TestFinisher.block);
    this.#finish = finish;
  }

  /** Has no state. */
  reset(): void {}

  #command(word: number): void {
    switch (word & 0xffff) {
      case FinisherCommand.pass:
        return this.#finish({ kind: 'pass' });
      case FinisherCommand.fail:
        return this.#finish({ kind: 'fail', code: word >>> 16 });
      case FinisherCommand.reset:
        return this.#finish({ kind: 'reset' });
    }
  }
}
