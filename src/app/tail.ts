import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { PipelineConfig } from '../config/pipeline-config.ts';
import { TablePattern } from '../config/table-pattern.ts';
import type { EventLog, LogBatch } from '../event-log/contract.ts';
import { ByteWriter } from '../events/byte-writer.ts';
import type { RecordEncoder } from '../events/formats/contract.ts';
import { createRecordEncoder } from '../events/formats/record-format.ts';
import type { SourceFacts } from '../pipeline/source.ts';
import { VERSION } from '../version.ts';

const LIMIT = { maxEvents: 500, maxBytes: 1024 * 1024, maxTransactionBytes: 1024 * 1024, lingerMs: 0 };

export interface TailInput {
  readonly log: EventLog;
  readonly config: PipelineConfig;
  readonly facts: SourceFacts | undefined;
  /** `table`, repeatable: only tables that match one of them. */
  readonly query: URLSearchParams;
  readonly response: ServerResponse;
  readonly signal: AbortSignal;
}

/** Events from now on as Debezium JSON, one a line, until the client goes. A slow client is waited for; it holds nobody else. */
export async function tailEvents(input: TailInput): Promise<void> {
  const { log, response, signal } = input;
  const patterns = input.query.getAll('table').map((text) => TablePattern.parse(text));
  const encoders = new Map<number, RecordEncoder | undefined>();
  const context = {
    topicPrefix: input.config.pipeline,
    database: input.facts?.database ?? '',
    version: VERSION,
    runId: randomUUID(),
    nowMs: Date.now,
  };
  const out = new ByteWriter();
  const reader = log.read(log.facts.last, 'tail');
  const encoderOf = (batch: LogBatch, i: number): RecordEncoder | undefined => {
    const { relation } = batch.event(i);
    if (!encoders.has(relation.version)) {
      const wanted =
        patterns.length === 0 || patterns.some((pattern) => pattern.matches(relation.schema, relation.table));
      encoders.set(
        relation.version,
        wanted ? createRecordEncoder({ format: 'debezium' }, relation, context) : undefined,
      );
    }
    return encoders.get(relation.version);
  };
  try {
    response.flushHeaders();
    for (;;) {
      const batch = await reader.next(LIMIT, signal);
      out.reset();
      for (let i = 0; i < batch.count; i++) {
        const encoder = encoderOf(batch, i);
        const event = batch.event(i);
        const parts = encoder?.parts(event) ?? 0;
        for (let part = 0; part < parts; part++) {
          if (encoder?.value(event, part, out) === true) out.byte(0x0a);
        }
      }
      batch.release();
      if (out.length > 0 && !response.write(out.copy())) await once(response, 'drain', { signal });
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    await reader.close();
    response.end();
  }
}
