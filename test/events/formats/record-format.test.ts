import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import {
  checkFormat,
  createRecordEncoder,
  formatOptions,
} from '../../../src/events/formats/record-format.ts';
import { relationOf } from '../tuple-builder.ts';
import { CONTEXT } from './records.ts';

const mapping = z.strictObject({ topic: z.string(), ...formatOptions }).superRefine(checkFormat);

describe('options', () => {
  test('default to Debezium', () => {
    expect(mapping.parse({ topic: 't' })).toEqual({ topic: 't', format: 'debezium' });
  });

  test('an option of the other format is an error at its place', () => {
    const { error } = mapping.safeParse({ topic: 't', format: 'plain', schemas_enable: true });
    expect(error?.issues).toMatchObject([{ path: ['schemas_enable'] }]);
    expect(mapping.safeParse({ topic: 't', deletes: 'drop' }).error?.issues).toMatchObject([
      { path: ['deletes'] },
    ]);
    expect(mapping.safeParse({ topic: 't', format: 'plain', deletes: 'drop' }).success).toBe(true);
    expect(() =>
      createRecordEncoder({ format: 'debezium', deletes: 'drop' }, relationOf({}), CONTEXT),
    ).toThrow(expect.objectContaining({ code: 'E_CONFIG' }));
  });

  test('unknown names and values are errors', () => {
    expect(mapping.safeParse({ topic: 't', schemas_enabled: true }).success).toBe(false);
    expect(mapping.safeParse({ topic: 't', time_precision_mode: 'seconds' }).success).toBe(false);
    expect(mapping.safeParse({ topic: 't', skipped_operations: ['x'] }).success).toBe(false);
  });

  test('all are described, for the reference and editors', () => {
    const { properties } = z.toJSONSchema(z.strictObject(formatOptions)) as {
      properties: Record<string, { description?: string }>;
    };
    for (const [name, { description }] of Object.entries(properties)) {
      expect(description, name).toMatch(/\.$/);
    }
  });
});
