import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { ByteSink, ByteSource } from '../../emulator/linux-user/stdio.ts';
import type { Tier } from '../../emulator/machine/tier.ts';
import { runUser, type UserResult } from '../../emulator/machine/user.ts';
import { bootInput } from '../boot/boot-inputs.ts';

/** Address space of each process. */
const MEMORY_SIZE = 1 << 28;

/** Scripts for busybox's shell, which runs its applets by forking alone, and what they print. */
export const SCRIPTS: Readonly<Record<string, { readonly line: string; readonly prints: string }>> = {
  loop: { line: 'i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done; echo $i', prints: '20000\n' },
  awk: {
    line: `awk 'BEGIN { for (i = 1; i <= 60000; i++) { s += i * i; n += length(substr("abcdef", i % 6 + 1)) } print s, n }'`,
    prints: '72001800010000 210000\n',
  },
  sort: { line: 'seq 1 20000 | sort -rn | md5sum', prints: 'd29c9b2130d81144350e794f0423148c  -\n' },
  sum: {
    line: 'dd if=/dev/zero bs=1M count=4 2>/dev/null | sha256sum',
    prints: 'bb9f8df61474d25e71fa00722318cd387396ca1736605e1248821cc0de3d3af8  -\n',
  },
  pack: {
    line: 'seq 1 20000 | bzip2 | bunzip2 | md5sum; seq 1 20000 | gzip | gunzip | wc -l',
    prints: 'e071f707df7bbeee2a6a1eb48011ddd0  -\n20000\n',
  },
  sed: { line: 'seq 1 20000 | sed -e "s/1/one/g" -e "/9/d" | grep -c one', prints: '9026\n' },
};

const busybox = bootInput('busybox-riscv64');

/** Why no script can be run, if so. */
export const absent = typeof busybox === 'string' ? undefined : busybox.absent;

/** Runs a script in deterministic mode, so that its counters are exact. Throws when it does not print what it must. */
export function runScript(name: string, tier: Tier): UserResult {
  const { line, prints } = SCRIPTS[name]!;
  const output = new ByteSink();
  const result = runUser({
    program: { path: '/bin/busybox', bytes: readFileSync(busybox as string) },
    argv: ['sh', '-c', line],
    environment: ['PATH=/bin'],
    mounts: [],
    directory: '/',
    stdio: [new ByteSource(new Uint8Array()), output, output],
    memorySize: MEMORY_SIZE,
    tier,
    deterministic: true,
  });
  assert.deepEqual(
    { outcome: result.outcome, output: output.text() },
    { outcome: { kind: 'exit', code: 0 }, output: prints },
  );
  return result;
}
