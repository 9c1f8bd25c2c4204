import type { Block } from '../../ir/block.ts';

/** Where control goes from a node: to another node of the region, or out of it to a guest address. */
export type Target = { readonly node: number } | { readonly exit: number };

/** How a node ends. */
export type Ending =
  /** `jump_rel`, or no terminator: one known successor. */
  | { readonly kind: 'goto'; readonly to: Target }
  /** `branch`. */
  | { readonly kind: 'branch'; readonly taken: Target; readonly fallThrough: Target }
  /** `jump` to an address known at run time only; `known` are the nodes it has been seen to go to. */
  | {
      readonly kind: 'jump';
      readonly isReturn: boolean;
      /** Where an inlined callee returns to. */
      readonly expected: number | undefined;
      readonly known: readonly number[];
    }
  /** An instruction that regions do not hold comes next (a trap, a call of a helper, bytes that are no instruction): leave before it. */
  | { readonly kind: 'leave'; readonly pc: number };

/** A guest basic block of a region; a callee inlined at several places has nodes of its own at each. */
export interface RegionNode {
  readonly index: number;
  /** Guest address of its first instruction. */
  readonly pc: number;
  /** Guest address behind its last instruction. */
  readonly end: number;
  readonly instructions: number;
  /** Without its terminator's successors: these are in `ending`. */
  readonly block: Block;
  readonly ending: Ending;
  /** The node at which a call that ends this node goes on when the callee returns. */
  readonly continuation: number | undefined;
  /** It reads mode registers, whose values the passes have put in. */
  readonly usesModes: boolean;
  /** Part of an inlined callee: control enters it only from its caller. */
  readonly inlined: boolean;
}

/** The nodes an ending goes to inside the region. */
export function successors({ ending }: RegionNode): number[] {
  switch (ending.kind) {
    case 'goto':
      return 'node' in ending.to ? [ending.to.node] : [];
    case 'branch': {
      const nodes = 'node' in ending.taken ? [ending.taken.node] : [];
      if ('node' in ending.fallThrough) nodes.push(ending.fallThrough.node);
      return nodes;
    }
    case 'jump':
      return ending.expected === undefined ? ending.known.slice() : [ending.expected, ...ending.known];
    case 'leave':
      return [];
  }
}

/** An ending with its targets in other places; those of jumps stay. */
export function placed(ending: Ending, place: (target: Target) => Target): Ending {
  switch (ending.kind) {
    case 'goto':
      return { kind: 'goto', to: place(ending.to) };
    case 'branch':
      return { kind: 'branch', fallThrough: place(ending.fallThrough), taken: place(ending.taken) };
    default:
      return ending;
  }
}

/** The instructions of nodes. */
export function instructionsOf(nodes: readonly RegionNode[]): number {
  let sum = 0;
  for (let index = 0; index < nodes.length; index++) sum += nodes[index]!.instructions;
  return sum;
}

/** The guest address of an instruction as a signed number. */
export function signedAddress(pc: bigint): number {
  const near = Number(pc);
  // Mostly it is one already, and operations on bigints are calls.
  return Number.isSafeInteger(near) ? near : Number(BigInt.asIntN(64, pc));
}
