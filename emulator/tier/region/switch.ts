import type { FunctionBuilder } from '../../wasm/function.ts';

export interface Case {
  readonly pc: number;
  /** Writes code that goes there and does not fall through. */
  readonly go: () => void;
}

/** Targets compared one after the other; a table of jumps costs a load and is predicted no better. */
const FEW = 4;
/** Most entries of a table: bytes of code that may lie between the first and the last target. */
const WIDEST = 4096;

/** Goes to the case of the guest address in an i64 local, or falls through when it is none of them. */
export function emitSwitch(fn: FunctionBuilder, target: number, cases: readonly Case[]): void {
  const low = Math.min(...cases.map(({ pc }) => pc));
  const span = Math.max(...cases.map(({ pc }) => pc)) - low + 1;
  if (cases.length <= FEW || span > WIDEST) {
    for (const { pc, go } of cases) {
      fn.localGet(target);
      fn.i64Const(pc);
      fn.op('i64.eq');
      const hit = fn.if();
      go();
      fn.end(hit);
    }
    return;
  }
  // Targets of compiled switches are even; the lowest bit is rotated to the top so that odd addresses fall out of the table.
  const none = fn.block();
  const labels = cases.map(() => fn.block());
  const table = Array.from({ length: Math.floor((span + 1) / 2) }, () => none);
  cases.forEach(({ pc }, index) => {
    if ((pc - low) % 2 === 0) table[(pc - low) / 2] = labels[index]!;
  });
  const inTable = fn.block();
  fn.localGet(target);
  fn.i64Const(low);
  fn.op('i64.sub');
  fn.i64Const(1);
  fn.op('i64.rotr');
  fn.i64Const(table.length);
  fn.op('i64.lt_u');
  fn.brIf(inTable);
  fn.br(none);
  fn.end(inTable);
  fn.localGet(target);
  fn.i64Const(low);
  fn.op('i64.sub');
  fn.i64Const(1);
  fn.op('i64.shr_u');
  fn.op('i32.wrap_i64');
  fn.brTable(table, none);
  for (let index = cases.length - 1; index >= 0; index--) {
    fn.end(labels[index]!);
    cases[index]!.go();
  }
  fn.end(none);
}
