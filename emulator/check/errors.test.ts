import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AssertionFailure, assert as check, checkLevel, CheckLevel } from './assert.ts';
import { ConfigError, HostError, ImageError, UserFacingError } from './errors.ts';

test('an error says where, what and how to mend it on one line', () => {
  const error = new ConfigError('unknown key', { where: 'dyno.config.json', mend: 'did you mean "jit"?' });
  assert.equal(error.line(), 'dyno.config.json: unknown key; did you mean "jit"?');
  assert.equal(error.name, 'ConfigError');
  assert.ok(error instanceof UserFacingError);
});

test('input that carries newlines or terminal escapes cannot forge a second line', () => {
  const line = new ImageError('bad name a\n\u001b[2Jb\rc', { where: 'x\ny' }).line();
  assert.equal(line, 'x y: bad name a \\x1b[2Jb c');
});

test('the cause is kept', () => {
  const cause = new Error('disk');
  assert.equal(new HostError('cannot write', { cause }).cause, cause);
});

test('assert throws our own class and narrows', () => {
  assert.throws(() => check(false, 'free list broken'), new AssertionFailure('free list broken'));
  check(true, 'never thrown');
});

test('check levels are ordered and unknown names are refused', () => {
  assert.ok(CheckLevel.off < CheckLevel.cheap && CheckLevel.cheap < CheckLevel.full);
  assert.equal(checkLevel(undefined), CheckLevel.cheap);
  assert.equal(checkLevel('full'), CheckLevel.full);
  assert.throws(() => checkLevel('loud'), ConfigError);
});
