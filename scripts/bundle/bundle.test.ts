import assert from 'node:assert/strict';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { bundleInput, bundleSubject, isFresh, openFreshBundle, readManifest } from './bundle.ts';
import type { BundleManifest } from './bundle.ts';

function scratch(context: TestContext): string {
  const directory = fs.mkdtempSync(path.join(tmpdir(), 'dyno-bundle-'));
  context.after(() => fs.rmSync(directory, { recursive: true }));
  return directory;
}

function manifestOf(root: string, files: readonly string[]): BundleManifest {
  const part = { file: 'absent', size: 0, changed: 0 };
  const inputs = files.map((file) => bundleInput(file)!);
  return {
    subject: bundleSubject(root),
    inputs,
    parts: { engine: 'one', script: part, code: part, thread: part, modules: part, moduleRanges: {}, tables: {} },
  };
}

test('a bundle is stale once an input has changed, though its size and time of modification are the same', async (context) => {
  const root = scratch(context);
  const file = path.join(root, 'source.ts');
  fs.writeFileSync(file, 'export const one = 1;');
  const manifest = manifestOf(root, [file]);
  assert.ok(isFresh(manifest, root));
  const { atime, mtime } = fs.statSync(file);
  // File systems count time in ticks of some milliseconds.
  for (let turn = 0; isFresh(manifest, root); turn++) {
    assert.ok(turn < 100, 'the change is not seen');
    await setTimeout(5);
    fs.writeFileSync(file, 'export const one = 2;');
    fs.utimesSync(file, atime, mtime);
  }
});

test('a bundle is stale without an input, and of another checkout', (context) => {
  const root = scratch(context);
  const file = path.join(root, 'source.ts');
  fs.writeFileSync(file, '');
  const manifest = manifestOf(root, [file]);
  assert.ok(!isFresh(manifest, path.join(root, 'other')));
  fs.rmSync(file);
  assert.ok(!isFresh(manifest, root));
});

test('there is no bundle in an empty folder, behind a manifest cut short, or without its parts', (context) => {
  const root = scratch(context);
  assert.equal(readManifest(root), undefined);
  const manifest = JSON.stringify(manifestOf(root, []));
  fs.writeFileSync(path.join(root, 'manifest.json'), manifest.slice(0, -5));
  assert.equal(readManifest(root), undefined);
  fs.writeFileSync(path.join(root, 'manifest.json'), manifest);
  assert.notEqual(readManifest(root), undefined);
  assert.equal(openFreshBundle(root, root), undefined);
});
