// Holds the decoder and the disassembly against GNU objdump: over real programs, over every row and over random words.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { input } from '../../../scripts/inputs.ts';
import { type RandomWords, randomWords, testSeed } from '../../bits/float-operands.ts';
import { parseElf } from '../../loader/elf.ts';
import type { Decoded } from '../instruction.ts';
import { encodeInstruction } from '../syntax.ts';
import { CSR_NAMES } from './csr.ts';
import { riscv64 } from './index.ts';

const COMMANDS = ['riscv64-linux-gnu-objdump', 'objdump'];
/** Words go into an object file of their own, whose attributes say which extensions to show. objdump 2.40 has no Zicond. */
const ASSEMBLER = 'riscv64-linux-gnu-as';
const OBJCOPY = 'riscv64-linux-gnu-objcopy';
const ARCHITECTURE = 'rv64gc_zba_zbb_zbs_zicbom_zicbop_zicboz_svinval';
/** Random words of 32 and of 16 bits. */
const RANDOM_WORDS = 120_000;

/** One line of a listing. */
interface Listed {
  readonly address: number;
  readonly length: number;
  /** `mnemonic operand,operand`. */
  readonly text: string;
}

/** An objdump that knows RISC-V. */
function findObjdump(): string | undefined {
  return COMMANDS.find((command) => {
    const { status, stdout } = spawnSync(command, ['-i'], { encoding: 'utf8' });
    return status === 0 && stdout.includes('riscv');
  });
}

/** What the tests of single words lack. */
function missingTool(objdump: string | undefined): string | undefined {
  if (objdump === undefined) return `none of ${COMMANDS.join(', ')} knows RISC-V`;
  return [ASSEMBLER, OBJCOPY]
    .filter((command) => spawnSync(command, ['--version']).status !== 0)
    .map((command) => `${command} is not installed`)[0];
}

function list(objdump: string, args: readonly string[]): Listed[] {
  const { status, stdout, stderr } = spawnSync(objdump, ['-M', 'no-aliases', ...args], {
    encoding: 'utf8',
    maxBuffer: 2 ** 30,
  });
  assert.equal(status, 0, stderr);
  const lines: Listed[] = [];
  for (const line of stdout.split('\n')) {
    const [, address, bytes, text] = /^\s*([0-9a-f]+):\s([0-9a-f ]+?)\s*\t(.*)$/.exec(line) ?? [];
    if (address === undefined) continue;
    lines.push({
      address: Number.parseInt(address, 16),
      length: bytes!.replaceAll(' ', '').length / 2,
      text: plain(text!),
    });
  }
  return lines;
}

/** Addresses with 0x whether or not a symbol follows, which goes, as do comments; one blank after the mnemonic. */
function plain(text: string): string {
  return text
    .replace(/([0-9a-f]+)\s*<[^>]*>/, '0x$1')
    .replace(/\s+#.*$/, '')
    .trim()
    .replace(/\s+/, ' ');
}

/**
 * Our line as objdump 2.40 has it, or undefined for an instruction it does not know. With `no-aliases` too it has other names for the
 * no-operations, the pause and the compressed shifts by nothing, which are hints.
 */
function expected({ row, operands }: Decoded, address: number): string | undefined {
  const text = plain(riscv64.disassemble({ row, length: row.length, operands }, BigInt(address)));
  if (row.extension === 'Zicond') return undefined;
  // Conversions that are always exact: only the rounding mode that compilers write.
  if ((operands['rmExact'] ?? 0) !== 0) return undefined;
  // Fences whose reserved fields are not zero, which are to be executed as ordinary ones.
  if (row.name.endsWith('(reserved)')) return undefined;
  if (row.name === 'pause') return 'fence w,unknown';
  if (row.name.startsWith('c.nop')) return `c.addi zero,${operands['immNonzero'] ?? 0}`;
  if (/^c\.(slli|srli|srai)$/.test(row.name) && operands['shamt'] === 0) return text.replace(/ (\w+),0x0$/, '64 $1');
  return text;
}

function compareProgram(t: TestContext, objdump: string, path: string): void {
  const elf = parseElf(readFileSync(path), path);
  const sections = elf.sections().filter(({ executable }) => executable);
  const lines = list(objdump, ['-d', path]);
  const different: string[] = [];
  for (const { address, length, text } of lines) {
    const section = sections.find((each) => address >= each.address && address < each.address + each.size);
    assert.ok(section, `0x${address.toString(16)} is in a section`);
    const decoded = riscv64.decode(elf.bytes, section.fileOffset + address - section.address);
    const ours = decoded === undefined ? undefined : expected(decoded, address);
    if (ours !== text || decoded?.length !== length)
      different.push(`${address.toString(16)}: ${text} | ${String(ours)}`);
  }
  t.diagnostic(`${lines.length} instructions of ${path.split('/').at(-1)!}, ${different.length} differ`);
  assert.ok(lines.length > 1000);
  assert.deepEqual(different.slice(0, 20), []);
}

test('every instruction of real programs is shown as objdump shows it', async (t) => {
  const objdump = findObjdump();
  if (objdump === undefined) return t.skip(`none of ${COMMANDS.join(', ')} knows RISC-V`);
  compareProgram(t, objdump, join(import.meta.dirname, '../../../suites/guests/riscv64/libc'));
  const busybox = await input('busybox-riscv64');
  if ('absent' in busybox) t.diagnostic(`without busybox: ${busybox.absent}`);
  else compareProgram(t, objdump, busybox.path);
});

interface Word {
  readonly word: number;
  readonly length: number;
}

/** Lists words one by one, each in a slot of 8 bytes padded with no-operations: what is no instruction must not swallow the next. */
function listWords(objdump: string, words: readonly Word[]): Listed[] {
  const SLOT = 8;
  const bytes = new Uint8Array(SLOT * words.length);
  const view = new DataView(bytes.buffer);
  words.forEach(({ word, length }, index) => {
    for (let at = 0; at < SLOT; at += 2) view.setUint16(SLOT * index + at, 1, true);
    for (let i = 0; i < length; i++) view.setUint8(SLOT * index + i, word >>> (8 * i));
  });
  const folder = mkdtempSync(join(tmpdir(), 'objdump-'));
  try {
    const [source, object, text] = ['words.s', 'words.o', 'words.bin'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    writeFileSync(source, 'nop\n');
    writeFileSync(text, bytes);
    execFileSync(ASSEMBLER, [`-march=${ARCHITECTURE}`, '-o', object, source]);
    execFileSync(OBJCOPY, ['--update-section', `.text=${text}`, object]);
    const found = list(objdump, ['-d', object]);
    const byAddress = new Map(found.map((line) => [line.address, line]));
    return words.map((_word, index) => {
      const line = byAddress.get(SLOT * index);
      assert.ok(line, `slot ${index} is listed`);
      return line;
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * What is listed, unless that is data or a reserved encoding which objdump 2.40 shows all the same: rounding modes 5 and 6, an increment
 * of the stack pointer by nothing, instructions of drafts of the privileged architecture; and the hypervisor's fences, which it lists with
 * those of Svinval.
 */
function instructionOf({ text }: Listed): string | undefined {
  const reserved = /^\.|^f(?!ence).*,unknown$|^c\.addi16sp sp,0$|^(uret|hret|sfence\.vm|h(?:inval|fence)\.[vg]vma)\b/;
  return reserved.test(text) ? undefined : text;
}

/** The line with the number of a control and status register in place of a name that we do not have. */
function numbered(theirs: string | undefined, decoded: Decoded | undefined): string | undefined {
  const csr = decoded?.operands['csr'];
  if (csr === undefined || CSR_NAMES.has(csr)) return theirs;
  return theirs?.replace(/,\w+,/, `,0x${csr.toString(16)},`);
}

function decodeWord({ word, length }: Word): Decoded | undefined {
  return riscv64.decode(
    Uint8Array.from({ length }, (_, i) => word >>> (8 * i)),
    0,
  );
}

function* samples(row: Decoded['row']): Generator<Record<string, number>> {
  const lists = Object.entries(row.operands).map(
    ([name, kind]) => [name, kind.samples.map((raw) => kind.decode(raw))] as const,
  );
  const first = Object.fromEntries(lists.map(([name, values]) => [name, values[0]!]));
  yield first;
  yield Object.fromEntries(lists.map(([name, values]) => [name, values.at(-1)!]));
  for (const [name, values] of lists) for (const value of values) yield { ...first, [name]: value };
}

test('sample encodings of every row are shown as objdump shows them', (t) => {
  const objdump = findObjdump();
  const missing = missingTool(objdump);
  if (missing !== undefined) return t.skip(missing);
  const words = riscv64.rows.flatMap((row) =>
    [...samples(row)].map((operands) => ({ word: encodeInstruction(row, operands) as number, length: row.length })),
  );
  const lines = listWords(objdump!, words);
  const different = words.flatMap((word, index) => {
    const ours = expected(decodeWord(word)!, 8 * index);
    const theirs = instructionOf(lines[index]!);
    return ours === theirs ? [] : [`${word.word.toString(16)}: ${String(theirs)} | ${String(ours)}`];
  });
  t.diagnostic(`${words.length} words, ${different.length} differ`);
  assert.deepEqual(different.slice(0, 20), []);
});

function anyWord(random: RandomWords): Word {
  const word = random();
  if (random() % 4 === 0 && (word & 3) !== 3) return { word: word & 0xffff, length: 2 };
  return { word: shortEncoding((word | 3) >>> 0), length: 4 };
}

/** An instruction with a bit changed: words around the table's edges. */
function nearWord(random: RandomWords): Word {
  const { match, mask, length } = riscv64.rows[random() % riscv64.rows.length]!;
  const bits = 8 * length;
  const word = ((random() & ~mask) | match) ^ (1 << (random() % bits));
  const size = (word & 3) === 3 ? 4 : 2;
  return { word: size === 4 ? shortEncoding(word >>> 0) : word & 0xffff, length: size };
}

/** Ones in the lowest five bits begin encodings of 48 bits and more, which would swallow what follows. */
function shortEncoding(word: number): number {
  return (word & 0x1f) === 0x1f ? word - 4 : word;
}

test('random words are instructions where objdump says so', (t) => {
  const objdump = findObjdump();
  const missing = missingTool(objdump);
  if (missing !== undefined) return t.skip(missing);
  const seed = testSeed();
  const random = randomWords(seed);
  const words = Array.from({ length: RANDOM_WORDS }, (_, index) =>
    index % 2 === 0 ? anyWord(random) : nearWord(random),
  );
  const lines = listWords(objdump!, words);
  let valid = 0;
  const different = words.flatMap((word, index) => {
    const decoded = decodeWord(word);
    const ours = decoded === undefined ? undefined : expected(decoded, 8 * index);
    const theirs = numbered(instructionOf(lines[index]!), decoded);
    if (decoded !== undefined) valid++;
    return ours === theirs ? [] : [`${word.word.toString(16)}: ${String(theirs)} | ${String(ours)}`];
  });
  t.diagnostic(`SEED=${seed}, ${words.length} words, ${valid} of them instructions, ${different.length} differ`);
  assert.deepEqual(different.slice(0, 20), [], `SEED=${seed}`);
});
