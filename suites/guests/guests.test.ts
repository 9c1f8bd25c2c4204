import { strict as assert } from 'node:assert';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, test } from 'node:test';
import { bareBuild, checkRecords, committedBuilds, guestBuild, inputHash } from './build.ts';
import {
  BARE_GUESTS,
  GUESTS,
  GUEST_SCALES,
  bareElfPath,
  elfPath,
  expectedOutput,
  expectedPath,
  findGuest,
  guestArguments,
  isBuiltFor,
} from './guests.ts';
import type { GuestIsa } from './guests.ts';
import { runGuest } from './run.ts';

const ISAS: readonly GuestIsa[] = ['wasm32', 'riscv64', 'aarch64', 'x86_64'];

for (const isa of ISAS) {
  describe(`the smoke scale on ${isa}`, () => {
    for (const guest of GUESTS.filter((each) => isBuiltFor(each, isa))) {
      test(`${guest.name} gives its expected output`, async (t) => {
        const run = await runGuest(guest, isa, 'smoke');
        if ('absent' in run) {
          // The modules are committed and need only this process: for them nothing can be missing.
          assert.notEqual(isa, 'wasm32');
          return t.skip(run.absent);
        }
        assert.equal(run.output, expectedOutput(guest, 'smoke'));
        assert.equal(run.status, 0);
      });
    }
  });
}

describe('the committed programs', () => {
  test('match their sources and flags (else run scripts/build-guests.ts)', async () => {
    assert.deepEqual(await checkRecords(), []);
  });

  test('are riscv64 ELF executables', () => {
    const paths = [...GUESTS.map((guest) => elfPath(guest, 'riscv64')), ...BARE_GUESTS.map(bareElfPath)];
    for (const path of paths) {
      const bytes = readFileSync(path);
      const header = [bytes.readUInt32BE(0), bytes[4], bytes[5], bytes.readUInt16LE(16), bytes.readUInt16LE(18)];
      // ELF magic, 64 bits, little-endian, ET_EXEC, EM_RISCV.
      assert.deepEqual(header, [0x7f454c46, 2, 1, 2, 243], path);
    }
  });

  test('stay below ten megabytes together', () => {
    const sizes = committedBuilds().map((build) => readFileSync(build.output).length);
    assert.ok(sizes.reduce((sum, size) => sum + size, 0) < 10_000_000);
  });

  test('a change of a source, a header or a flag changes the input hash', () => {
    const build = guestBuild(findGuest('fib'), 'riscv64');
    const original = inputHash(build);
    assert.equal(inputHash(guestBuild(findGuest('fib'), 'riscv64')), original);
    assert.notEqual(inputHash({ ...build, flags: [...build.flags, '-O1'] }), original);
    assert.notEqual(inputHash({ ...build, sources: guestBuild(findGuest('lz'), 'riscv64').sources }), original);
    assert.notEqual(inputHash({ ...build, headers: [] }), original);
  });

  test('a bare-metal program of C takes the start-up code with it', () => {
    const primes = BARE_GUESTS.find((guest) => guest.name === 'primes');
    assert.ok(primes !== undefined);
    assert.ok(bareBuild(primes).sources.some((path) => path.endsWith('start.S')));
  });
});

describe('the manifest', () => {
  test('names every source and expected output, and nothing else is there', () => {
    const folder = import.meta.dirname;
    const sources = readdirSync(folder).filter((name) => name.endsWith('.c'));
    assert.deepEqual(sources.sort(), GUESTS.map((guest) => `${guest.name}.c`).sort());
    const outputs = GUESTS.flatMap((guest) =>
      guest.kind === 'system'
        ? [`${guest.name}.txt`]
        : GUEST_SCALES.map((scale) => basename(expectedPath(guest, scale))),
    );
    assert.deepEqual(readdirSync(join(folder, 'expected')).sort(), outputs.sort());
  });

  test('no expected output holds a failed check', () => {
    for (const guest of GUESTS) {
      for (const scale of GUEST_SCALES) {
        const text = expectedOutput(guest, scale);
        assert.match(text, /: ok\n/, guest.name);
        assert.doesNotMatch(text, /FAILED/, guest.name);
      }
    }
  });

  test('libc is given its directory as the guest sees it', () => {
    assert.deepEqual(guestArguments(findGuest('libc'), 'default', '/tree'), ['/tree']);
    assert.deepEqual(guestArguments(findGuest('fib'), 'smoke'), ['smoke']);
    assert.deepEqual(guestArguments(findGuest('fib'), 'quick'), ['31']);
    assert.deepEqual(guestArguments(findGuest('fib'), 'default'), []);
  });

  test('an unknown guest is an error that names the known ones', () => {
    assert.throws(() => findGuest('no-such-guest'), /no guest is called no-such-guest; there are sieve/);
  });

  test('every bare-metal program has its ELF', () => {
    for (const guest of BARE_GUESTS) assert.ok(existsSync(bareElfPath(guest)), guest.name);
  });
});
