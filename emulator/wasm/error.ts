/** A WebAssembly binary that cannot be read: the message says what is wrong, `offset` says where (bytes from the start). */
export class MalformedModuleError extends Error {
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(`${message} at byte ${offset}`);
    this.name = 'MalformedModuleError';
    this.offset = offset;
  }
}

/** A caller of the builder broke WebAssembly's rules: a defect of ours, never of a guest. */
export class BuildError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'BuildError';
  }
}

/** Callers test the condition themselves, so that no message is built on the good path. */
export function fail(message: string): never {
  throw new BuildError(message);
}
