import type { Op } from '../../ir/block.ts';
import { GUEST } from '../../layout/memory-map.ts';
import type { Lowering } from '../lower.ts';
import { loadInstruction, storeInstruction, type Transfer } from '../memory-path.ts';
import type { ByteCopyCode } from './byte-copy-code.ts';

/** A load behind address translation that the guard of a loop has looked up. `addend`: i32 local that makes its address linear. */
export function loadGuarded(lowering: Lowering, op: Op, kind: Transfer, addend: number, copies: ByteCopyCode): void {
  const offset = pushLinear(lowering, op, addend);
  if (copies.begins(op)) {
    lowering.scratch(['i32'], (address) => {
      lowering.fn.localTee(address);
      copies.read(lowering.fn, op, address, offset);
    });
  }
  loadInstruction(lowering, kind, offset);
}

/** A store of that kind. */
export function storeGuarded(lowering: Lowering, op: Op, kind: Transfer, addend: number, copies: ByteCopyCode): void {
  const { fn } = lowering;
  const offset = pushLinear(lowering, op, addend);
  const isFirst = copies.writes(op);
  if (!isFirst && copies.isMade(op) === false) {
    lowering.push(op.args[1]!);
    return storeInstruction(lowering, kind, offset);
  }
  lowering.scratch(['i32', kind.type], (address, value) => {
    fn.localSet(address);
    lowering.push(op.args[1]!);
    fn.localSet(value);
    if (isFirst) copies.writeIf(fn, op, address, offset);
    copies.unlessMade(fn, op, () => {
      fn.localGet(address);
      fn.localGet(value);
      storeInstruction(lowering, kind, offset);
    });
  });
}

/** Pushes the i32 to which the offset that is returned must be added. */
function pushLinear(lowering: Lowering, op: Op, addend: number): number {
  const { fn } = lowering;
  const { base, displacement } = lowering.splitAddress(op.args[0]!);
  // Linear addresses of guest memory begin at GUEST, so what is less by the displacement is no less than 0 and does not wrap around.
  const folds = displacement > 0 && displacement <= GUEST;
  lowering.push(folds ? base : op.args[0]!);
  fn.op('i32.wrap_i64');
  fn.localGet(addend);
  fn.op('i32.add');
  return folds ? displacement : 0;
}
