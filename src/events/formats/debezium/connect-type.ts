import type { WriteValue } from '../../values/value-writer.ts';
import type { ConnectSchema } from './connect-schema.ts';

/** How one column type appears in Debezium's records. */
export interface ConnectType {
  /** Not yet optional: that is the column's part. */
  readonly schema: ConnectSchema;
  readonly write: WriteValue;
  /** Overrides what stands for an unchanged TOAST value by the kind of schema; see unavailable-value.ts. */
  readonly unavailable?: Buffer | undefined;
}
