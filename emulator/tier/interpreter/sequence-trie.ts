import { assert } from '../../check/assert.ts';

/**
 * Finds the sequence that neighbouring instructions make, one neighbour after the other. Nodes are numbers; 0 is none. A node stands for the beginning of
 * a sequence, or of several; where it is a whole one it has an `op`.
 */
export class SequenceTrie {
  /** Instructions of the longest sequence; 1 when there is none. */
  readonly longest: number;
  /** By a case's number: the node of sequences that begin with it. */
  readonly #first: Uint16Array;
  /** By a case's number: its column, from 1 on; 0: it is behind the first in none. */
  readonly #column: Uint8Array;
  readonly #columns: number;
  /** By node and column. */
  readonly #next: Uint16Array;
  readonly #ops: Uint16Array;

  /** `sequences`: the numbers of their cases, all below `end`; their own are consecutive from `end` on. */
  constructor(sequences: readonly (readonly number[])[], end: number) {
    this.#first = new Uint16Array(end);
    this.#column = new Uint8Array(end);
    let longest = 1;
    let columns = 1;
    let members = 0;
    for (const cases of sequences) {
      longest = Math.max(longest, cases.length);
      members += cases.length;
      for (let at = 1; at < cases.length; at++)
        if (this.#column[cases[at]!] === 0) this.#column[cases[at]!] = columns++;
    }
    assert(columns <= 256, 'there is room for the cases that are in sequences');
    this.longest = longest;
    this.#columns = columns;
    this.#next = new Uint16Array((members + 1) * columns);
    this.#ops = new Uint16Array(members + 1);
    let nodes = 1;
    for (let index = 0; index < sequences.length; index++) {
      const cases = sequences[index]!;
      let node = (this.#first[cases[0]!] ||= nodes++);
      for (let at = 1; at < cases.length; at++)
        node = this.#next[node * columns + this.#column[cases[at]!]!] ||= nodes++;
      this.#ops[node] = end + index;
    }
  }

  /** The node of sequences that begin with a case, given by its number. */
  first(single: number): number {
    return this.#first[single]!;
  }

  /** The node of those among a node's sequences that go on with a case, given by its number. */
  next(node: number, single: number): number {
    // Column 0 has no nodes.
    return this.#next[node * this.#columns + this.#column[single]!]!;
  }

  /** The `op` of the sequence that ends at a node; 0 when none does. */
  opOf(node: number): number {
    return this.#ops[node]!;
  }
}
