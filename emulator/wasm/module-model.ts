import { ByteBuffer } from './leb128.ts';
import type { FunctionType, GlobalType, MemoryType, TableType } from './type.ts';

/** The index spaces of a module, and what they hold so far. */
export interface IndexSpaces {
  readonly types: readonly FunctionType[];
  /** The type of each function. */
  readonly functionTypes: readonly number[];
  readonly functionNames: readonly string[];
  readonly tables: readonly TableType[];
  readonly memories: readonly MemoryType[];
  readonly globals: readonly GlobalType[];
}

/** Functions that modules have in common, encoded: their types as the function section has them, their bodies as the code section does. */
export interface SharedFunctions {
  readonly count: number;
  readonly types: Uint8Array;
  readonly bodies: Uint8Array;
}

/**
 * The types, imports and first functions that many small modules begin with, encoded once, and room to write these modules in: to make both anew for
 * each region took a fifth of what it took to emit small ones. Made by `ModuleBuilder.asModel`.
 */
export class ModuleModel {
  readonly spaces: IndexSpaces;
  /** The type section, and the import section. */
  readonly types: Uint8Array;
  readonly imports: Uint8Array;
  readonly functions: SharedFunctions;
  /** Where modules are put together. */
  readonly out = new ByteBuffer();
  #code: ByteBuffer | undefined = new ByteBuffer();

  constructor(spaces: IndexSpaces, types: Uint8Array, imports: Uint8Array, functions: SharedFunctions) {
    this.spaces = spaces;
    this.types = types;
    this.imports = imports;
    this.functions = functions;
  }

  /** Room for a function's code, unless it is lent already. */
  lendCode(): ByteBuffer | undefined {
    const code = this.#code;
    this.#code = undefined;
    return code;
  }

  /** Takes back what was lent, or as good: its function has been encoded. */
  takeCode(code: ByteBuffer): void {
    code.length = 0;
    this.#code = code;
  }
}
