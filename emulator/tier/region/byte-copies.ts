import type { Block, Op } from '../../ir/block.ts';
import { rowOf } from '../../ir/op.ts';
import { type AccessPlan, accessGroups } from './access-plan.ts';

/**
 * Loads and stores that together copy 2, 4 or 8 neighbouring bytes. Compilers copy so what may not be aligned, mostly to the stack to load it from there as
 * one: the host's processor then waits until all stores have left its store buffer, as it hands a load what one store holds, not what several do. The bytes are read
 * once more for the copy than for their registers: right as long as one hart runs at a time.
 */
export interface Copy {
  readonly bytes: CopySize;
  /** The first of its loads: all bytes are checked then; and how far the lowest is from the first's. */
  readonly load: Op;
  readonly loadDistance: number;
  /** The same of its stores. */
  readonly store: Op;
  readonly storeDistance: number;
}

type CopySize = 2 | 4 | 8;

/** A block's copies by each of their stores, and by the first of their loads. */
export interface Copies {
  readonly ofStore: ReadonlyMap<Op, Copy>;
  readonly ofLoad: ReadonlyMap<Op, readonly Copy[]>;
}

/** Where an access goes: `offset` from what all of a group count from. */
interface Place {
  readonly group: number;
  readonly offset: number;
}

/** A store of what a load has read. */
interface Move {
  readonly store: Op;
  readonly load: Op;
  readonly loadIndex: number;
  readonly to: Place;
  readonly from: Place;
}

/** What has checked an access's bytes: an access, or a guard by a number of its own. Undefined: it looks for itself. */
export type CheckOf = (access: Op) => Op | number | undefined;

/** The checks of a plan. */
export function plannedChecks(plan: AccessPlan): CheckOf {
  return (access) => {
    const check = plan.get(access);
    return check?.kind === 'covered' ? (check.by ?? 0) : check && access;
  };
}

const NONE: Copies = { ofStore: new Map(), ofLoad: new Map() };

/**
 * Finds the copies of a block that may be made as one: nothing else happens between their stores, no memory is written from the first load to the first
 * store, and one check stands for all loads and one for all stores. `loadsMayWrite`: a load that is checked elsewhere may do so too, as those behind address
 * translation that set the accessed bit of a page, or go to a device.
 */
export function copiesOf(block: Block, checkOf: CheckOf, loadsMayWrite = false): Copies {
  const { ops } = block;
  if (!mayCopy(block)) return NONE;
  const places = placesOf(block);
  const ofStore = new Map<Op, Copy>();
  const ofLoad = new Map<Op, Copy[]>();
  let run: Move[] = [];
  /** Index of the last op before `run` that may have written memory. */
  let written = -1;
  const end = (index: number) => {
    for (const moves of wholeCopies(run)) {
      const first = Math.min(...moves.map(({ loadIndex }) => loadIndex));
      if (first < written) continue;
      const check = checkOf(moves[0]!.load);
      const isForeign = (op: Op) => op.name === 'load' && checkOf(op) !== check;
      if (loadsMayWrite && ops.slice(first, index).some(isForeign)) continue;
      const copy = copyOf(moves, run);
      for (const { store } of moves) ofStore.set(store, copy);
      const others = ofLoad.get(copy.load);
      if (others === undefined) ofLoad.set(copy.load, [copy]);
      else others.push(copy);
    }
    if (run.length > 0) written = index - 1;
    run = [];
  };
  for (let index = 0; index < ops.length; index++) {
    const op = ops[index]!;
    const move = op.name === 'store' ? moveOf(ops, op, checkOf, places) : undefined;
    if (move !== undefined) {
      if (run.length > 0 && !goesOn(run[0]!, move, checkOf)) end(index);
      run.push(move);
      continue;
    }
    if (isQuiet(op)) continue;
    end(index);
    if (op.name !== 'load') written = index;
  }
  end(ops.length);
  return ofStore.size === 0 ? NONE : { ofStore, ofLoad };
}

/** Whether it is worth looking: most blocks have no two such stores. */
export function mayCopy({ ops }: Block): boolean {
  let stores = 0;
  for (let index = 0; index < ops.length; index++) {
    const op = ops[index]!;
    if (op.name === 'store' && ops[op.args[1]!]!.name === 'load') stores++;
  }
  return stores > 1;
}

function placesOf(block: Block): ReadonlyMap<Op, Place> {
  const places = new Map<Op, Place>();
  let group = 0;
  for (const members of accessGroups(block)) {
    for (const { op, offset } of members) places.set(op, { group, offset });
    group++;
  }
  return places;
}

function moveOf(ops: readonly Op[], store: Op, checkOf: CheckOf, places: ReadonlyMap<Op, Place>): Move | undefined {
  const loadIndex = store.args[1]!;
  const load = ops[loadIndex]!;
  if (load.name !== 'load' || load.width !== store.width || load.width! > 32) return undefined;
  if (checkOf(store) === undefined || checkOf(load) === undefined) return undefined;
  return { store, load, loadIndex, to: places.get(store)!, from: places.get(load)! };
}

/** Whether a move goes between the same things as another, as wide and as far, by the same checks. */
function goesOn(first: Move, move: Move, checkOf: CheckOf): boolean {
  return (
    move.store.width === first.store.width &&
    move.to.group === first.to.group &&
    move.from.group === first.from.group &&
    move.to.offset - move.from.offset === first.to.offset - first.from.offset &&
    checkOf(move.store) === checkOf(first.store) &&
    checkOf(move.load) === checkOf(first.load)
  );
}

/** Ops that nobody but later ops sees, and that never leave the region. */
function isQuiet(op: Op): boolean {
  const { effect } = rowOf(op);
  return effect === 'none' || effect === 'reads' || effect === 'writes' || effect === 'marker';
}

/**
 * The moves of a run by their offset, parted into copies of 8, 4 or 2 bytes; what is left over is in none. A byte that is written twice gets the same value
 * each time, as all moves go as far.
 */
function wholeCopies(run: readonly Move[]): readonly (readonly Move[])[] {
  if (run.length < 2) return [];
  const width = run[0]!.store.width! / 8;
  const sorted = run.toSorted((a, b) => a.to.offset - b.to.offset);
  const gaps = sorted.slice(1).map((move, index) => move.to.offset - sorted[index]!.to.offset);
  const copies: Move[][] = [];
  for (let at = 0; at < sorted.length;) {
    let most = 1;
    while (at + most < sorted.length && gaps[at + most - 1] === width) most++;
    const bytes = [8, 4, 2].find((size) => size > width && size <= most * width);
    const count = bytes === undefined ? 1 : bytes / width;
    if (count > 1) copies.push(sorted.slice(at, at + count));
    at += count;
  }
  return copies;
}

/** `moves` by their offset; `run`: in the order of their stores. */
function copyOf(moves: readonly Move[], run: readonly Move[]): Copy {
  const lowest = moves[0]!;
  const inCopy = new Set(moves);
  const firstStored = run.find((move) => inCopy.has(move))!;
  const firstLoaded = moves.reduce((first, move) => (move.loadIndex < first.loadIndex ? move : first));
  return {
    bytes: ((moves.length * lowest.store.width!) / 8) as CopySize,
    load: firstLoaded.load,
    loadDistance: lowest.from.offset - firstLoaded.from.offset,
    store: firstStored.store,
    storeDistance: lowest.to.offset - firstStored.to.offset,
  };
}
