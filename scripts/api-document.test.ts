import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { apiDocument, declarationsOf, exportsOf } from './api-document.ts';

const ROOT = dirname(import.meta.dirname);

test('a barrel names its exports and where they come from', () => {
  const barrel = "export { a, type B } from './x.ts';\nexport type { C } from './y.ts';\n";
  assert.deepEqual(exportsOf(barrel), [
    { name: 'a', from: './x.ts' },
    { name: 'B', from: './x.ts' },
    { name: 'C', from: './y.ts' },
  ]);
});

test('declarations keep their comments, and nothing private', () => {
  const text = `import type { X } from './x.ts';
/** Of the file. */
/** What it is.
 * And more. */
export declare class A {
    #private;
    private hidden;
    /** Kept. */
    run(): X;
}
export declare const Kind: {
    readonly a: 0;
};
export type Kind = (typeof Kind)[keyof typeof Kind];
declare const inner: unique symbol;
export {};
`;
  assert.deepEqual(declarationsOf(text), [
    { name: 'A', comment: 'What it is.\nAnd more.', code: 'class A {\n    /** Kept. */\n    run(): X;\n}' },
    {
      name: 'Kind',
      comment: '',
      code: 'const Kind: {\n    readonly a: 0;\n};\ntype Kind = (typeof Kind)[keyof typeof Kind];',
    },
  ]);
});

test('every export of the emulator is on the page, with its signature', async () => {
  const page = await apiDocument(join(ROOT, 'emulator', 'index.ts'), ROOT);
  for (const heading of ['Vcpu', 'runUser', 'riscv64', 'Tier', 'ExitReason'])
    assert.match(page, new RegExp(`^## ${heading}$`, 'm'));
  assert.match(page, /^function runUser\(options: UserOptions\): UserResult;$/m);
  assert.doesNotMatch(page, /#private/);
});

test('an export under another name is one clear line', async () => {
  mkdirSync(join(ROOT, '.cache'), { recursive: true });
  const folder = mkdtempSync(join(ROOT, '.cache', 'api-'));
  try {
    writeFileSync(join(folder, 'x.ts'), 'export const a = 1;\n');
    writeFileSync(join(folder, 'index.ts'), "export { a as b } from './x.ts';\n");
    await assert.rejects(apiDocument(join(folder, 'index.ts'), ROOT), /a as b is not declared in \.\/x\.ts/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
