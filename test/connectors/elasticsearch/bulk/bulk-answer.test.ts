import { describe, expect, test } from 'vitest';
import {
  bulkItems,
  type ItemOutcome,
  outcomeOf,
} from '../../../../connectors/elasticsearch/bulk/bulk-answer.ts';
import { explain } from '../../../../connectors/elasticsearch/bulk/explain-rejection.ts';
import { DELETE, INDEX } from '../../../../connectors/elasticsearch/documents/route.ts';
import { relation } from '../../batch-builder.ts';

describe('the answer to a bulk', () => {
  test('without errors is not read any further', () => {
    expect(bulkItems('{"errors":false,"items":[{"index":{"status":201}}]}')).toBeUndefined();
    expect(bulkItems('{ "errors" : false, "took": 1 }')).toBeUndefined();
  });

  test('with errors gives one answer per operation, in order', () => {
    const text =
      '{"errors":true,"items":[{"index":{"status":201}},{"delete":{"status":404}},' +
      '{"index":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"r"}}}]}';
    expect(bulkItems(text)).toEqual([
      { status: 201 },
      { status: 404 },
      { status: 409, error: { type: 'version_conflict_engine_exception', reason: 'r' } },
    ]);
  });

  test('cut off is no answer', () => {
    expect(() => bulkItems('{"errors":true,"items":[{"index":{"sta')).toThrow(SyntaxError);
  });
});

test.each<[typeof INDEX | typeof DELETE, number, string | undefined, ItemOutcome]>([
  [INDEX, 200, undefined, 'done'],
  [INDEX, 201, undefined, 'done'],
  [DELETE, 404, undefined, 'done'],
  [INDEX, 404, 'index_not_found_exception', 'refused'],
  [DELETE, 404, 'index_not_found_exception', 'refused'],
  [INDEX, 409, 'version_conflict_engine_exception', 'conflict'],
  [DELETE, 409, 'version_conflict_engine_exception', 'conflict'],
  [INDEX, 429, 'es_rejected_execution_exception', 'throttled'],
  [INDEX, 429, 'cluster_block_exception', 'blocked'],
  [INDEX, 403, 'cluster_block_exception', 'blocked'],
  [INDEX, 403, 'security_exception', 'refused'],
  [INDEX, 503, 'unavailable_shards_exception', 'unavailable'],
  [INDEX, 408, 'timeout_exception', 'unavailable'],
  [INDEX, 500, 'exception', 'unavailable'],
  [INDEX, 400, 'document_parsing_exception', 'rejected'],
  [INDEX, 400, 'mapper_parsing_exception', 'rejected'],
  [INDEX, 400, 'index_closed_exception', 'refused'],
  [INDEX, 413, 'content_too_large', 'rejected'],
])('operation %i answered %i %s is %s', (kind, status, type, outcome) => {
  expect(outcomeOf(kind, { status, ...(type === undefined ? {} : { error: { type, reason: '' } }) })).toBe(
    outcome,
  );
});

describe('the explanation of a rejection', () => {
  const orders = relation({ table: 'orders', columns: { id: 'int8', note: 'text' }, key: ['id'] });

  test('names a column of the table and nothing else of the reason', () => {
    const reason =
      "[1:7] failed to parse field [note] of type [date] in document with id 'secret'. Preview: 'secret'";
    expect(explain({ type: 'document_parsing_exception', reason }, orders)).toBe(
      'the value of column note does not fit the type of its field',
    );
    const immense =
      'Document contains at least one immense term in field="note.keyword" (whose UTF8 encoding is longer than the max length 32766), secret';
    expect(explain({ type: 'illegal_argument_exception', reason: immense }, orders)).toContain('column note');
  });

  test('shows no text that is not a column’s name, even where a field would stand', () => {
    const reason = '[1:7] failed to parse field [secret] of type [date]';
    expect(explain({ type: 'document_parsing_exception', reason }, orders)).not.toContain('secret');
    expect(explain({ type: 'other', reason: 'secret' }, orders)).not.toContain('secret');
  });
});
