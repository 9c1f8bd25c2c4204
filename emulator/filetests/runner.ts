import { printBlock } from '../ir/print.ts';
import { parseBlock } from '../ir/parse.ts';
import type { Block } from '../ir/block.ts';
import type { RegisterFile } from '../ir/type.ts';
import { verify } from '../ir/verify.ts';
import { UserFacingError } from '../check/errors.ts';
import type { Decoded, Isa } from '../isa/instruction.ts';
import { assembleCase, type Assembled, checkDecode } from './assembly.ts';
import type { Executor } from './executor.ts';
import type { Case, Corpus } from './format.ts';
import { Image } from './image.ts';
import { liftInstructions } from './lift.ts';
import { type OpCase, IR_FILES, parseOpCase } from './op-case.ts';
import { corpusPasses, type Optimizer } from './pass-kind.ts';
import { regionSizes } from './region-kind.ts';
import { runCase, type Subject } from './run-case.ts';

export interface RunnerOptions {
  readonly isas: ReadonlyMap<string, Isa>;
  readonly executors: ReadonlyMap<string, Executor>;
}

/** Something a corpus expects and does not get. */
interface Failure {
  readonly line: number;
  readonly message: string;
}

export interface Report {
  readonly failures: readonly Failure[];
  /** Comparisons made: one for each run and executor, decode, golden or message. */
  readonly checks: number;
}

/** Kinds of test that are no executors. */
const KINDS = new Set(['decode', 'lift', 'print', 'pass', 'region']);

/** Runs all that the corpus asks for. */
export function checkCorpus(corpus: Corpus, options: RunnerOptions): Report {
  const failures: Failure[] = [];
  let checks = 0;
  const executors: Executor[] = [];
  for (const name of corpus.tests.filter((test) => !KINDS.has(test))) {
    const executor = options.executors.get(name);
    if (executor === undefined) failures.push({ line: 1, message: `there is no executor '${name}'` });
    else executors.push(executor);
  }
  const isa = options.isas.get(corpus.isa);
  if (isa === undefined && corpus.isa !== 'none') {
    return { failures: [...failures, { line: 1, message: `there is no ISA '${corpus.isa}'` }], checks };
  }
  for (const each of corpus.cases) {
    const line = each.source[0]!.line;
    const report = (message: string, at = line) => failures.push({ line: at, message });
    try {
      checks += checkCase(corpus, each, isa, executors, report);
    } catch (error) {
      if (!(error instanceof UserFacingError)) throw new Error(`${corpus.path}:${line}`, { cause: error });
      report(error.line());
    }
  }
  if (failures.length === 0 && checks === 0) failures.push({ line: 1, message: 'the corpus checks nothing' });
  return { failures, checks };
}

type Reporter = (message: string, line?: number) => void;

function checkCase(corpus: Corpus, each: Case, isa: Isa | undefined, executors: readonly Executor[], report: Reporter) {
  const wants = (kind: string) => corpus.tests.includes(kind);
  let checks = 0;
  if (isa === undefined) {
    if (each.error !== undefined) {
      const actual = irProblem(each);
      if (actual !== each.error.text)
        report(`expected the error '${each.error.text}', got '${actual}'`, each.error.line);
      return 1;
    }
    const subject = irSubject(each);
    const problems = verify(subject.block);
    if (problems.length > 0) report(problems.join('; '));
    const optimizer = optimizerOf(corpus);
    if (wants('print') || optimizer !== undefined) {
      checkGolden(each, printBlock(optimizer?.(subject.block) ?? subject.block), report);
      checks++;
    }
    if (problems.length > 0) return checks;
    if (optimizer !== undefined) return checks + runBoth(each, subject.block, optimizer, IR_FILES, executors, report);
    return checks + runCase(image(), each, subject, executors, report);
  }
  const code = assembleCase(each, isa, corpus.address);
  if (wants('decode')) checks += checkDecode(each, isa, code, report);
  if (wants('region')) {
    checkGolden(each, regionSizes(isa, code), report);
    checks++;
  }
  const optimizer = optimizerOf(corpus);
  const block = wants('lift') || optimizer !== undefined ? liftCase(isa, code) : undefined;
  if (block !== undefined) {
    const problems = verify(block);
    if (problems.length > 0) report(problems.join('; '));
    checkGolden(each, printBlock(optimizer?.(block) ?? block), report);
    checks++;
    if (optimizer !== undefined) return checks + runBoth(each, block, optimizer, isa.files, executors, report);
  }
  const subject: Subject = { kind: 'code', isa, code, files: isa.files };
  return checks + runCase(image(), each, subject, executors, report);
}

function optimizerOf(corpus: Corpus): Optimizer | undefined {
  return corpus.tests.includes('pass') ? corpusPasses(corpus) : undefined;
}

/** Runs a case on a block as it is and as the passes make it. */
function runBoth(
  each: Case,
  block: Block,
  optimizer: Optimizer,
  files: readonly RegisterFile[],
  executors: readonly Executor[],
  report: Reporter,
): number {
  const blocks = { before: block, after: optimizer(block) };
  return Object.entries(blocks).reduce((checks, [when, subject]) => {
    const reportWhen: Reporter = (message, line) => report(`${when} the passes: ${message}`, line);
    return checks + runCase(image(), each, { kind: 'block', block: subject, files }, executors, reportWhen);
  }, 0);
}

let sharedImage: Image | undefined;
function image(): Image {
  sharedImage ??= new Image();
  return sharedImage;
}

/** The case's code as one block, up to the first bytes that are no instruction; undefined when those are the first. */
function liftCase(isa: Isa, code: Assembled): Block | undefined {
  const decoded: { readonly decoded: Decoded; readonly pc: bigint }[] = [];
  for (const { bytes, pc } of code.instructions) {
    const found = isa.decode(bytes, 0);
    if (found === undefined) break;
    decoded.push({ decoded: found, pc });
  }
  return decoded.length === 0 ? undefined : liftInstructions(isa, decoded);
}

function irSubject(each: Case): Subject & { readonly block: Block } {
  const text = each.source.map((line) => line.text).join('\n');
  const op: OpCase | undefined = each.source.length === 1 ? parseOpCase(text) : undefined;
  if (op !== undefined) return { kind: 'op', ...op, files: IR_FILES };
  return { kind: 'block', block: parseBlock(text, { isa: 'none', files: IR_FILES }), files: IR_FILES };
}

/** What parser or verifier say about the source, or the empty string. */
function irProblem(each: Case): string {
  try {
    return verify(irSubject(each).block).join('; ');
  } catch (error) {
    if (error instanceof UserFacingError) return error.line();
    throw error;
  }
}

function checkGolden(each: Case, actual: string, report: Reporter): void {
  const expected = each.ir?.text ?? [];
  const lines = actual.trimEnd().split('\n');
  if (each.ir !== undefined && lines.length === expected.length && lines.every((line, i) => line === expected[i]))
    return;
  report(`the golden lines differ; 'npm run bless' accepts the new one\n${lineDifference(expected, lines)}`);
}

/** The lines from the first to the last difference: `-` expected, `+` actual. */
export function lineDifference(expected: readonly string[], actual: readonly string[]): string {
  let start = 0;
  while (start < expected.length && start < actual.length && expected[start] === actual[start]) start++;
  let end = 0;
  const limit = Math.min(expected.length, actual.length) - start;
  while (end < limit && expected.at(-1 - end) === actual.at(-1 - end)) end++;
  const part = (lines: readonly string[], mark: string) =>
    lines.slice(start, lines.length - end).map((line) => `    ${mark} ${line}`);
  return [...part(expected, '-'), ...part(actual, '+')].join('\n');
}

/** What there is now in place of a case's golden lines; undefined when it has none. */
function goldenOf(corpus: Corpus, each: Case, isa: Isa | undefined): string | undefined {
  if (each.error !== undefined) return undefined;
  const code = isa && assembleCase(each, isa, corpus.address);
  if (isa !== undefined && corpus.tests.includes('region')) return regionSizes(isa, code!);
  const block = isa === undefined ? irSubject(each).block : liftCase(isa, code!);
  return block && printBlock(optimizerOf(corpus)?.(block) ?? block);
}

/** The corpus with what there is now in place of its goldens: the same text when nothing differs. */
export function blessCorpus(corpus: Corpus, isas: ReadonlyMap<string, Isa>): string {
  const isa = isas.get(corpus.isa);
  const hasGoldens = ['lift', 'print', 'pass', 'region'].some((kind) => corpus.tests.includes(kind));
  if (!hasGoldens || (isa === undefined && corpus.isa !== 'none')) return corpus.lines.join('\n');
  const lines: string[] = [];
  let copied = 0;
  for (const each of corpus.cases) {
    const golden = goldenOf(corpus, each, isa);
    if (golden === undefined) continue;
    const text = golden
      .trimEnd()
      .split('\n')
      .map((line) => `;   ${line}`);
    const at = each.ir?.first ?? each.end;
    lines.push(...corpus.lines.slice(copied, at), ...(each.ir === undefined ? ['; ir:'] : []), ...text);
    copied = at + (each.ir?.text.length ?? 0);
  }
  return [...lines, ...corpus.lines.slice(copied)].join('\n');
}
