import { UserFacingError } from '../check/errors.ts';

/** A mistake in a corpus file; `where` is `file:line`. */
export class CorpusError extends UserFacingError {
  constructor(message: string, path: string, line: number) {
    super(message, { where: `${path}:${line}` });
  }
}

/** One line of a file with its number, from 1. */
export interface Line {
  readonly text: string;
  readonly line: number;
}

export interface Run {
  readonly line: number;
  /** Assignments before and expectations after the arrow. */
  readonly input: string;
  readonly output: string;
}

/** Golden lines; `first` is the index, in the file's lines, of the line after `; ir:`. */
interface Golden {
  readonly first: number;
  readonly text: readonly string[];
}

export interface Case {
  /** Instructions, IR ops, or one op in short. */
  readonly source: readonly Line[];
  readonly bytes: Line | undefined;
  /** The bytes are no instruction. */
  readonly illegal: boolean;
  readonly ir: Golden | undefined;
  /** What is wrong with the source, for tests of messages. */
  readonly error: Line | undefined;
  readonly runs: readonly Run[];
  /** Index, in the file's lines, after the case's last one: where a missing golden goes. */
  readonly end: number;
}

export interface Corpus {
  readonly path: string;
  readonly lines: readonly string[];
  /** `riscv64` and so on, or `none` for IR. */
  readonly isa: string;
  /** Executors that must agree, and other kinds of test: `decode`, `lift`, `print`. */
  readonly tests: readonly string[];
  /** Guest address of each case's first instruction. */
  readonly address: bigint;
  /** `pass`: names of the passes to run, or `all`. */
  readonly passes: readonly string[];
  /** `pass`: what is known around the blocks (`PassContext`): `ordinaryMemory`, `deadOut=x1,x2`. */
  readonly context: readonly string[];
  readonly cases: readonly Case[];
}

/**
 * Reads a corpus: header lines (`isa`, `test`, `at`, `passes`, `context`), then cases parted by blank lines; `#` begins a comment line. A case is source lines
 * and directives: `; bytes: …`, `; illegal`, `; ir:` with its golden lines, `; error: …`, `; run: … => …`.
 * @throws CorpusError at the first mistake.
 */
export function parseCorpus(path: string, text: string): Corpus {
  const lines = text.split('\n');
  const header = new Map<string, string>();
  let at = 0;
  for (; at < lines.length; at++) {
    const line = lines[at]!;
    if (line.trim() === '' || line.startsWith('#')) continue;
    const [, key, value] = /^(isa|test|at|passes|context)\s+(.+)$/.exec(line) ?? [];
    if (key === undefined || value === undefined) break;
    if (header.has(key)) throw new CorpusError(`${key} is given twice`, path, at + 1);
    header.set(key, value.trim());
  }
  const cases: Case[] = [];
  for (let block: number[] = []; at <= lines.length; at++) {
    const line = lines[at] ?? '';
    if (line.startsWith('#')) continue;
    if (line.trim() !== '') block.push(at);
    else if (block.length > 0) {
      cases.push(parseCase(path, lines, block));
      block = [];
    }
  }
  const address = header.get('at') ?? '0x1000';
  if (!/^0x[\da-f]+$/i.test(address)) throw new CorpusError(`'at ${address}' is no address such as 0x1000`, path, 1);
  const corpus: Corpus = {
    path,
    lines,
    isa: header.get('isa') ?? '',
    tests: words(header.get('test')),
    address: BigInt(address),
    passes: words(header.get('passes')),
    context: words(header.get('context')),
    cases,
  };
  if (corpus.isa === '') throw new CorpusError("there is no header line 'isa NAME'", path, 1);
  if (corpus.tests.length === 0) throw new CorpusError("there is no header line 'test KIND…'", path, 1);
  if (cases.length === 0) throw new CorpusError('there are no cases', path, lines.length);
  return corpus;
}

const words = (text: string | undefined) => text?.split(/\s+/) ?? [];

function parseCase(path: string, lines: readonly string[], block: readonly number[]): Case {
  const source: Line[] = [];
  const runs: Run[] = [];
  let bytes: Line | undefined;
  let error: Line | undefined;
  let ir: { first: number; text: string[] } | undefined;
  let illegal = false;
  /** Whether golden lines may still follow. */
  let inGolden = false;
  for (const index of block) {
    const text = lines[index]!;
    const line = index + 1;
    if (inGolden && text.startsWith(';   ')) {
      ir?.text.push(text.slice(4));
      continue;
    }
    inGolden = false;
    if (!text.startsWith(';')) {
      if (bytes ?? error ?? ir ?? runs[0])
        throw new CorpusError('source after a directive; part cases by a blank line', path, line);
      source.push({ text: text.trim(), line });
      continue;
    }
    const [, directive, rest] = /^;\s*(\w+):?\s*(.*)$/.exec(text) ?? [];
    switch (directive) {
      case 'bytes':
        bytes = { text: rest!.trim(), line };
        break;
      case 'illegal':
        illegal = true;
        break;
      case 'error':
        error = { text: rest!.trim(), line };
        break;
      case 'ir':
        ir = { first: index + 1, text: [] };
        inGolden = true;
        break;
      case 'run': {
        const [input, output, extra] = rest!.split('=>');
        if (input === undefined || output === undefined || extra !== undefined) {
          throw new CorpusError('write ; run: INPUTS => OUTPUTS', path, line);
        }
        runs.push({ line, input: input.trim(), output: output.trim() });
        break;
      }
      default:
        throw new CorpusError(`'${text}' is no directive; there are bytes, illegal, ir, error and run`, path, line);
    }
  }
  if (source.length === 0) throw new CorpusError('a case without source', path, block[0]! + 1);
  return { source, bytes, illegal, ir, error, runs, end: block.at(-1)! + 1 };
}
