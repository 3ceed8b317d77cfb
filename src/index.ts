/**
 * Tailrace as a library: run a pipeline in a process of your own, or write a connector.
 *
 * @example
 * const config = loadConfig({ file: 'tailrace.yaml', text, env: process.env, registry });
 * await using runtime = await Runtime.start({ config, logger });
 * await runtime.run({ drain, kill });
 */

export { type AppSourceConfig, registry } from './app/registry.ts';
export { Runtime, type RuntimeOptions } from './app/runtime.ts';
export { type Clock, systemClock } from './clock.ts';
export { ConfigError, type ConfigFinding } from './config/findings.ts';
export { configJsonSchema } from './config/json-schema.ts';
export { type LoadConfigInput, loadConfig } from './config/load-config.ts';
export type { ConnectorRegistry, PipelineConfig } from './config/pipeline-config.ts';
export type {
  Capabilities,
  CheckInput,
  Finding,
  Mapping,
  Rejection,
  Route,
  Sink,
  SinkBatch,
  SinkConnector,
  SinkContext,
  SinkItem,
  WriteResult,
} from './delivery/sink.ts';
export { ERROR_CODES, type ErrorCode } from './errors/codes.ts';
export { TailraceError, type TailraceErrorOptions } from './errors/tailrace-error.ts';
export { ByteWriter } from './events/byte-writer.ts';
export type {
  BeforeImage,
  ColumnState,
  EventView,
  Op,
  Side,
  TransactionInfo,
} from './events/change-event.ts';
export { formatLsn, type Lsn, parseLsn } from './events/lsn.ts';
export {
  type Checkpoint,
  comparePositions,
  formatPosition,
  type Position,
  parsePosition,
} from './events/position.ts';
export type { ColumnType, Relation, RelationColumn, RelationDefinition } from './events/relation.ts';
export type { Logger } from './observe/logger.ts';
export { createPinoLogger } from './observe/pino-logger.ts';
export type { PipelineStatus } from './observe/status.ts';
export { VERSION } from './version.ts';
