import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { engineIdentity, knownSources, sourceIdentity } from './engine-identity.ts';

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'dyno-identity-'));
after(() => fs.rmSync(root, { recursive: true, force: true }));

test('every source that decides what is emitted counts, with its name, and no test does', () => {
  for (const room of ['bits', 'ir', 'isa', 'layout', 'pass', 'tier', 'wasm']) fs.mkdirSync(path.join(root, room));
  fs.mkdirSync(path.join(root, 'isa', 'riscv'));
  const write = (file: string, text: string): string => {
    fs.writeFileSync(path.join(root, file), text);
    return sourceIdentity(root);
  };
  const first = write('tier/one.ts', 'a');
  assert.notEqual(write('tier/one.ts', 'b'), first);
  assert.equal(write('tier/one.test.ts', 'b'), write('tier/one.ts', 'b'));
  assert.equal(write('tier/one.ts', 'a'), first);
  assert.notEqual(write('isa/riscv/two.ts', ''), first);
  fs.renameSync(path.join(root, 'isa/riscv/two.ts'), path.join(root, 'isa/riscv/three.ts'));
  const renamed = sourceIdentity(root);
  fs.renameSync(path.join(root, 'isa/riscv/three.ts'), path.join(root, 'isa/riscv/two.ts'));
  assert.notEqual(sourceIdentity(root), renamed);
});

test('what the host knows of the sources is taken for what they are', () => {
  assert.ok(engineIdentity().startsWith(sourceIdentity()));
  knownSources.identity = 'known';
  assert.match(engineIdentity(), /^known V8 /);
  knownSources.identity = undefined;
});
