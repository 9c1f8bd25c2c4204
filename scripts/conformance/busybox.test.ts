import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { ByteSink, ByteSource } from '../../emulator/linux-user/stdio.ts';
import { TIERS, type Tier } from '../../emulator/machine/tier.ts';
import { runUser, type UserResult } from '../../emulator/machine/user.ts';
import { input } from '../inputs.ts';
import { BUSYBOX_LINES, BUSYBOX_TREE } from './busybox-lines.ts';

const found = await input('busybox-riscv64');
const qemu = spawnSync('qemu-riscv64', ['--version']).status === 0;
const skip =
  'absent' in found ? found.absent : qemu ? false : 'qemu-riscv64 is not installed (Debian package qemu-user)';
const root = fs.mkdtempSync(path.join(os.tmpdir(), 'dyno-busybox-'));
after(() => fs.rmSync(root, { recursive: true, force: true }));

function makeTree(name: string): string {
  const directory = path.join(root, name);
  fs.rmSync(directory, { recursive: true, force: true });
  for (const [file, text] of Object.entries(BUSYBOX_TREE)) {
    fs.mkdirSync(path.join(directory, path.dirname(file)), { recursive: true });
    fs.writeFileSync(path.join(directory, file), text);
  }
  return directory;
}

interface Answer {
  readonly output: string;
  readonly errors: string;
  readonly code: number;
}

/** A directory with every applet by name: links to busybox for the guest here; for qemu, which cannot execute a foreign program, scripts that run it again. */
function installApplets(name: string, busybox: string, install: (file: string, applet: string) => void): string {
  const directory = path.join(root, name);
  fs.mkdirSync(directory);
  const list = spawnSync('qemu-riscv64', [busybox, '--list'], { encoding: 'utf8' }).stdout;
  for (const applet of list.split('\n').filter((line) => line !== '')) install(path.join(directory, applet), applet);
  return directory;
}

const prepared = lazily(() => {
  assert.ok('path' in found);
  const busybox = found.path;
  const links = installApplets('links', busybox, (file, applet) => {
    if (applet !== 'busybox') fs.symlinkSync('busybox', file);
  });
  fs.copyFileSync(busybox, path.join(links, 'busybox'));
  fs.chmodSync(path.join(links, 'busybox'), 0o755);
  const emulator = spawnSync('sh', ['-c', 'command -v qemu-riscv64'], { encoding: 'utf8' }).stdout.trim();
  const scripts = installApplets('scripts', busybox, (file, applet) => {
    fs.writeFileSync(file, `#!/bin/sh\nexec ${emulator} ${busybox} ${applet} "$@"\n`, { mode: 0o755 });
  });
  return { busybox, links, scripts, emulator };
});

function lazily<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

function underQemu(line: string): Answer {
  const { busybox, scripts, emulator } = prepared();
  const result = spawnSync(emulator, [busybox, 'sh', '-c', line], {
    cwd: makeTree('there'),
    env: { PATH: scripts },
    input: '',
  });
  return {
    output: result.stdout.toString('latin1'),
    errors: result.stderr.toString('latin1'),
    code: result.status ?? -1,
  };
}

function here(line: string, tier: Tier): Answer & Pick<UserResult, 'translation'> {
  const { busybox, links } = prepared();
  const output = new ByteSink();
  const errors = new ByteSink();
  const { outcome, translation } = runUser({
    program: { path: '/bin/busybox', bytes: fs.readFileSync(busybox) },
    argv: [busybox, 'sh', '-c', line],
    environment: ['PATH=/bin'],
    mounts: [
      { host: makeTree('here'), guest: '/w', readOnly: false },
      { host: links, guest: '/bin', readOnly: true },
      { host: os.tmpdir(), guest: '/tmp', readOnly: false },
    ],
    directory: '/w',
    stdio: [new ByteSource(new Uint8Array()), output, errors],
    tier,
    maximumInstructions: 2e9,
    timeout: 60,
  });
  const text = (sink: ByteSink) => Buffer.from(sink.bytes()).toString('latin1');
  const code = outcome.kind === 'exit' ? outcome.code : outcome.kind === 'signal' ? 128 + outcome.signal : -1;
  return { output: text(output), errors: text(errors), code, ...(translation ? { translation } : {}) };
}

/** Tiers that translate from the first instruction on take a second or more for the first process of a run; they do the first lines only. */
const EVERYTHING: readonly Tier[] = ['auto', 'interpreter'];
const LINES_IN_EVERY_TIER = 8;

for (const [index, line] of BUSYBOX_LINES.entries()) {
  test(`busybox does as under qemu-riscv64: ${line.replaceAll('\n', '\\n')}`, { skip }, () => {
    const wanted = underQemu(line);
    for (const tier of index < LINES_IN_EVERY_TIER ? TIERS : EVERYTHING) {
      if (tier === 'reference') continue;
      const { translation: _, ...answer } = here(line, tier);
      assert.deepEqual(answer, wanted, tier);
    }
  });
}

test('forks take up what their parent and siblings have translated', { skip }, (context) => {
  const one = here('echo a | cat', 'baseline').translation!;
  const five = here('for i in 1 2 3 4 5; do echo a | cat; done', 'baseline').translation!;
  context.diagnostic(`${one.translated} translations, then ${five.translated}; ${five.reused} reused`);
  assert.ok(five.translated < 1.5 * one.translated && five.reused > one.reused + 4 * 300);
  assert.equal(five.store.warmHits + five.store.warmed, five.reused + five.translated);
});
