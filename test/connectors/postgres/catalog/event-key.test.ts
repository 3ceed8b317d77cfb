import { expect, test } from 'vitest';
import { eventKey, type KeyQuestion } from '../../../../connectors/postgres/catalog/event-key.ts';
import type { UniqueIndex } from '../../../../connectors/postgres/catalog/table-query.ts';

/** Columns a, b, c... with attnums 1, 2, 3...; those in `nullable` and `identity` by letter. */
function columns(names: string, { nullable = '', identity = '', unknown = '' } = {}): KeyQuestion['columns'] {
  return names.split('').map((name) => ({
    attnum: unknown.includes(name) ? 0 : name.charCodeAt(0) - 96,
    nullable: nullable.includes(name),
    inIdentity: identity.includes(name),
  }));
}

function index(name: string, letters: string, flags: Partial<UniqueIndex> = {}): UniqueIndex {
  const attnums = letters.split('').map((letter) => letter.charCodeAt(0) - 96);
  return { name, primary: false, identity: false, immediate: true, columns: attnums, ...flags };
}

test.each<[string, KeyQuestion, number[]]>([
  [
    'the primary key, in its order',
    {
      columns: columns('abc', { identity: 'ac' }),
      replicaIdentity: 'default',
      indexes: [index('pk', 'ca', { primary: true })],
    },
    [2, 0],
  ],
  [
    'the primary key under full identity',
    {
      columns: columns('abc', { identity: 'abc' }),
      replicaIdentity: 'full',
      indexes: [index('u', 'a'), index('pk', 'b', { primary: true })],
    },
    [1],
  ],
  [
    'a unique index without nullable columns before one with, whatever they are called',
    {
      columns: columns('abc', { nullable: 'a' }),
      replicaIdentity: 'nothing',
      indexes: [index('a', 'a'), index('b', 'b')],
    },
    [1],
  ],
  [
    'a nullable unique index when there is no other',
    { columns: columns('ab', { nullable: 'a' }), replicaIdentity: 'default', indexes: [index('a', 'a')] },
    [0],
  ],
  [
    'the replica identity among equals, then the name',
    {
      columns: columns('abc', { identity: 'c' }),
      replicaIdentity: 'index',
      indexes: [index('a', 'a'), index('z', 'c', { identity: true })],
    },
    [2],
  ],
  [
    'by name among equals',
    { columns: columns('ab'), replicaIdentity: 'full', indexes: [index('y', 'b'), index('x', 'a')] },
    [0],
  ],
  ['no unique index', { columns: columns('ab'), replicaIdentity: 'full', indexes: [] }, []],
  [
    'an index over a column that is not published is no key',
    {
      columns: columns('b', { identity: 'b' }),
      replicaIdentity: 'full',
      indexes: [index('pk', 'a', { primary: true })],
    },
    [],
  ],
  [
    'the primary key has changed since: the identity of the event was the key then',
    {
      columns: columns('abc', { identity: 'a' }),
      replicaIdentity: 'default',
      indexes: [index('pk', 'b', { primary: true })],
    },
    [0],
  ],
  [
    'the key column was renamed since',
    {
      columns: columns('ab', { identity: 'a', unknown: 'a' }),
      replicaIdentity: 'default',
      indexes: [index('pk', 'a', { primary: true })],
    },
    [0],
  ],
  [
    'the table is gone: default identity was the primary key',
    { columns: columns('ab', { identity: 'ab', unknown: 'ab' }), replicaIdentity: 'default', indexes: [] },
    [0, 1],
  ],
  [
    'the table is gone: an identity index is a unique one',
    { columns: columns('ab', { identity: 'b', unknown: 'ab' }), replicaIdentity: 'index', indexes: [] },
    [1],
  ],
  [
    'the table is gone: full identity is no key',
    { columns: columns('ab', { identity: 'ab', unknown: 'ab' }), replicaIdentity: 'full', indexes: [] },
    [],
  ],
  [
    'a deferrable primary key is the key, though not the identity',
    {
      columns: columns('ab'),
      replicaIdentity: 'default',
      indexes: [index('pk', 'a', { primary: true, immediate: false })],
    },
    [0],
  ],
])('%s', (_what, question, key) => {
  expect(eventKey(question)).toEqual(key);
});
