import { AssertionFailure } from '../check/assert.ts';
import { ImageError } from '../check/errors.ts';

/** A WebAssembly binary that cannot be read: the message says what is wrong, `offset` where (bytes from the start). */
export class MalformedModuleError extends ImageError {
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message, { where: `byte ${offset}` });
    this.offset = offset;
  }
}

/**
 * The builder's caller broke WebAssembly's rules: a defect of ours, never of a guest. Callers test the condition
 * themselves, so that no message is built on the good path.
 */
export function fail(message: string): never {
  throw new AssertionFailure(message);
}
