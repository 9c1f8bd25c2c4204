import assert from 'node:assert/strict';
import { test } from 'node:test';
import { devicesDocument, REGISTER_BLOCKS } from './document.ts';

test('every register says what it is for and where the specification has it', () => {
  for (const { title, specification, registers } of REGISTER_BLOCKS) {
    assert.ok(specification.length > 5, title);
    for (const { name, doc, spec } of registers) assert.ok(doc.length > 5 && spec.length > 3, `${title}: ${name}`);
  }
});

test('the document has a section a device', () => {
  const text = devicesDocument();
  for (const { title } of REGISTER_BLOCKS) assert.ok(text.includes(`\n## ${title}\n`));
});
