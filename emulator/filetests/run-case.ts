import { opRow } from '../ir/op.ts';
import type { Block } from '../ir/block.ts';
import type { RegisterFile } from '../ir/type.ts';
import type { Isa } from '../isa/instruction.ts';
import { FaultKind, StateOffset } from '../layout/state.ts';
import type { Assembled } from './assembly.ts';
import type { Executor, Stop } from './executor.ts';
import type { Case, Run } from './format.ts';
import { assign, assignPage, differences, GUEST_SIZE, hex, type Image, splitAssignments, type View } from './image.ts';
import type { OpCase } from './op-case.ts';
import { parseFlags, parseTyped, parseValue } from './value-text.ts';

/** What a case runs. */
export type Subject = { readonly files: readonly RegisterFile[] } & (
  | { readonly kind: 'code'; readonly isa: Isa; readonly code: Assembled }
  | { readonly kind: 'block'; readonly block: Block }
  | ({ readonly kind: 'op' } & OpCase)
);

type Reporter = (message: string, line?: number) => void;

const LIMIT = 10_000;
/** Where IR blocks say that their code lies. */
const BLOCK_ADDRESS = 0x1000n;

/**
 * Runs every `; run:` of a case on every executor from the same start, and compares all registers, flags, guest memory and the way it
 * stopped with what is expected; what a run does not mention must not change. Returns the number of comparisons made.
 */
export function runCase(
  image: Image,
  each: Case,
  subject: Subject,
  executors: readonly Executor[],
  report: Reporter,
): number {
  let checks = 0;
  for (const run of each.runs) {
    const problem = (message: string) => report(message, run.line);
    let first: { readonly name: string; readonly extra: string } | undefined;
    for (const executor of executors) {
      const expected = prepare(image, run, subject, problem);
      if (expected === undefined) break;
      const stop = execute(executor, image, subject);
      if (stop === undefined) {
        problem(`${executor.name} cannot run ${subject.kind === 'code' ? 'guest code' : 'IR blocks'}`);
        continue;
      }
      checks++;
      const found = [...stopDifferences(stop, expected.stop), ...differences(image, expected.view, subject.files)];
      if (found.length > 0) problem(`${executor.name}: ${found.join('; ')}`);
      // What no run mentions must agree all the same.
      const reservation = image.state.getBigInt64(StateOffset.reservation, true);
      const extra = `retired=${stop.retired} reservation=${hex(BigInt.asUintN(64, reservation))}`;
      first ??= { name: executor.name, extra };
      if (extra !== first.extra) problem(`${executor.name} gives ${extra}, ${first.name} ${first.extra}`);
    }
  }
  return checks;
}

function execute(executor: Executor, image: Image, subject: Subject): Stop | undefined {
  const { memory } = image;
  if (subject.kind !== 'code') return executor.runBlock?.({ block: subject.block, memory, guestSize: GUEST_SIZE });
  const { isa, code } = subject;
  const start = code.address;
  const end = start + BigInt(code.bytes.length);
  return executor.run?.({ isa, memory, guestSize: GUEST_SIZE, start, end, limit: LIMIT });
}

/** Field by field what is expected of a stop: absent fields may be anything. */
type Expected = ReadonlyMap<string, string>;

/** Puts the inputs into the image and says what is expected afterwards; undefined when the line is no good, which is reported. */
function prepare(
  image: Image,
  run: Run,
  subject: Subject,
  problem: (message: string) => void,
): { readonly view: View; readonly stop: Expected } | undefined {
  const code = subject.kind === 'code' ? subject.code : { bytes: new Uint8Array(0), address: BLOCK_ADDRESS };
  image.reset(code.bytes, code.address);
  if (subject.kind === 'op') return prepareOp(image, run, subject, problem);

  const inputs = splitAssignments(run.input);
  const outputs = splitAssignments(run.output);
  if (inputs === undefined || outputs === undefined) {
    problem('write assignments such as x1=0x5 on both sides of =>');
    return undefined;
  }
  for (const [key, value] of inputs) {
    const page = assignPage(image, key, value);
    const wrong =
      page === undefined
        ? assign(image, subject.files, key, value)
        : page
          ? undefined
          : `${key}=${value} is no page and rwx`;
    if (wrong !== undefined) return void problem(wrong);
  }
  const view = image.copy();
  const stop = new Map<string, string>();
  for (const [key, value] of outputs) {
    const expected = stopField(key, value);
    if (expected !== undefined) stop.set(key, expected);
    else {
      const wrong = assign(view, subject.files, key, value);
      if (wrong !== undefined) return void problem(wrong);
    }
  }
  if (!completeStop(stop, subject)) return void problem('say where it stops: pc=…');
  return { view, stop };
}

/** Arguments and result of a single op: `0x1, 2 => 3 fflags=nx`. */
function prepareOp(image: Image, run: Run, subject: Subject & OpCase, problem: (message: string) => void) {
  const texts = run.input === '' ? [] : run.input.split(/\s*,\s*/);
  if (texts.length !== subject.args.length)
    return void problem(`${texts.length} arguments instead of ${subject.args.length}`);
  for (const [index, text] of texts.entries()) {
    const bits = parseTyped(text, subject.args[index]!);
    if (bits === undefined) return void problem(`'${text}' is no ${subject.args[index]}`);
    assign(image, subject.files, `a${index}`, hex(bits));
  }
  const view = image.copy();
  const [, result, flags] = /^(.*?)(?:\s+fflags=(\S+))?$/.exec(run.output)!;
  const bits = parseTyped(result!, subject.result);
  if (bits === undefined) return void problem(`'${result}' is no ${subject.result}`);
  assign(view, subject.files, 'r', hex(bits));
  const number = flags === undefined ? 0 : parseFlags(flags);
  if (number === undefined) return void problem(`'${flags}' are no flags`);
  view.state.setUint32(StateOffset.floatFlags, number, true);
  return { view, stop: new Map([['stop', 'end']]) };
}

const FAULTS: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(FaultKind).map(([name, kind]) => [kind, name]),
);

/** An expectation about the stop in its normal form, or undefined when the key is about the state. */
function stopField(key: string, value: string): string | undefined {
  if (key === 'stop' || key === 'fault') return value;
  if (!['pc', 'trap', 'value', 'at', 'retired'].includes(key)) return undefined;
  const number = parseValue(value, 64);
  return number === undefined ? value : hex(number);
}

/** Fills in what goes without saying. False when the place cannot be known. */
function completeStop(stop: Map<string, string>, subject: Subject): boolean {
  if (!stop.has('stop')) stop.set('stop', stop.has('trap') ? 'trap' : stop.has('fault') ? 'fault' : 'end');
  if (stop.has('pc')) return true;
  const place = stop.get('stop') === 'end' ? endOf(subject) : onlyInstruction(subject);
  if (place !== undefined) stop.set('pc', hex(place));
  return place !== undefined;
}

/** Where control is after falling through; undefined when it may leave by a jump and pc must be said. */
function endOf(subject: Subject): bigint | undefined {
  if (subject.kind === 'code') return subject.code.address + BigInt(subject.code.bytes.length);
  const last = subject.block.ops.findLast((op) => op.name === 'insn');
  const jumps = opRow(subject.block.ops.at(-1)!.name).terminator === true;
  return last === undefined || jumps ? undefined : last.pc! + BigInt(last.length!);
}

/** The one place where a trap or fault can be. */
function onlyInstruction(subject: Subject): bigint | undefined {
  if (subject.kind === 'code') return subject.code.instructions.length === 1 ? subject.code.address : undefined;
  const places = subject.block.ops.filter((op) => op.name === 'insn');
  return places.length === 1 ? places[0]!.pc : undefined;
}

function stopDifferences(stop: Stop, expected: Expected): string[] {
  const actual = new Map<string, string>([
    ['stop', stop.kind],
    ['pc', hex(stop.pc)],
    ['retired', hex(BigInt(stop.retired))],
  ]);
  if (stop.kind === 'trap') actual.set('trap', hex(BigInt(stop.cause))).set('value', hex(stop.value));
  if (stop.kind === 'fault') actual.set('fault', FAULTS[stop.fault] ?? String(stop.fault)).set('at', hex(stop.address));
  const wrong: string[] = [];
  for (const [key, value] of expected) {
    if (actual.get(key) !== value) wrong.push(`${key} is ${actual.get(key) ?? 'not there'}, expected ${value}`);
  }
  // A trap that is expected without its value, or a fault without its address, is said to be zero.
  const detail = stop.kind === 'trap' ? 'value' : 'at';
  if ((stop.kind === 'trap' || stop.kind === 'fault') && !expected.has(detail)) {
    if (actual.get(detail) !== '0x0') wrong.push(`${detail} is ${actual.get(detail)}, expected 0x0`);
  }
  return wrong;
}
