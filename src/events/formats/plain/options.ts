import { z } from 'zod';

export const plainOptions = {
  deletes: z
    .enum(['tombstone', 'rewrite', 'drop'])
    .optional()
    .describe(
      'plain: a delete becomes a null value (tombstone), the old row with "__deleted":"true" (rewrite; other rows get "false"), or no record (drop). Default tombstone.',
    ),
  truncates: z
    .enum(['drop', 'marker'])
    .optional()
    .describe(
      'plain: a truncate becomes no record (drop), or one without key holding {"__op":"truncate","__schema":...,"__table":...} (marker). Default drop: a row format has no form for it.',
    ),
};

const plainSchema = z.strictObject(plainOptions);

export type PlainOptions = z.infer<typeof plainSchema>;
