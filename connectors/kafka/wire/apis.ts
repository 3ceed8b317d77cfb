import type { WireReader } from './wire-reader.ts';
import type { WireWriter } from './wire-writer.ts';

/**
 * The requests we make, in versions that every broker from 2.1 to 4.x speaks, all without tagged fields.
 * https://kafka.apache.org/protocol#protocol_messages
 */
export interface Api<Request, Response> {
  readonly key: number;
  readonly name: string;
  /** Lowest and highest version that `encode` and `decode` know. */
  readonly versions: readonly [min: number, max: number];
  encode(out: WireWriter, request: Request, version: number): void;
  decode(reader: WireReader, version: number): Response;
}

/** Error code 0 is success; what the others are called stands in protocol-errors.ts. */
export interface WithError {
  readonly errorCode: number;
}

export interface ApiVersion {
  readonly key: number;
  readonly min: number;
  readonly max: number;
}

export const API_VERSIONS: Api<undefined, WithError & { readonly apis: readonly ApiVersion[] }> = {
  key: 18,
  name: 'ApiVersions',
  versions: [0, 0],
  encode: () => {},
  decode: (reader) => ({
    errorCode: reader.int16(),
    apis: reader.array(() => ({ key: reader.int16(), min: reader.int16(), max: reader.int16() })),
  }),
};

export interface NodeMetadata {
  readonly id: number;
  readonly host: string;
  readonly port: number;
}

export interface PartitionMetadata extends WithError {
  readonly partition: number;
  /** -1: none for now. */
  readonly leader: number;
  readonly replicas: readonly number[];
}

export interface TopicMetadata extends WithError {
  readonly topic: string;
  readonly partitions: readonly PartitionMetadata[];
}

export interface ClusterMetadata {
  readonly nodes: readonly NodeMetadata[];
  readonly controller: number;
  readonly topics: readonly TopicMetadata[];
}

/** Never creates a topic by asking for it. */
export const METADATA: Api<{ readonly topics: readonly string[] }, ClusterMetadata> = {
  key: 3,
  name: 'Metadata',
  versions: [5, 5],
  encode: (out, { topics }) => {
    out.array(topics, (topic) => out.string(topic)).boolean(false);
  },
  decode: (reader) => {
    reader.int32();
    const nodes = reader.array(() => {
      const node = { id: reader.int32(), host: reader.string(), port: reader.int32() };
      reader.nullableString();
      return node;
    });
    reader.nullableString();
    const controller = reader.int32();
    const topics = reader.array(() => {
      const errorCode = reader.int16();
      const topic = reader.string();
      reader.boolean();
      const partitions = reader.array(() => {
        const partition = {
          errorCode: reader.int16(),
          partition: reader.int32(),
          leader: reader.int32(),
          replicas: reader.array(() => reader.int32()),
        };
        reader.array(() => reader.int32());
        reader.array(() => reader.int32());
        return partition;
      });
      return { errorCode, topic, partitions };
    });
    return { nodes, controller, topics };
  },
};

export const FIND_COORDINATOR: Api<
  { readonly transactionalId: string },
  WithError & { readonly node: NodeMetadata }
> = {
  key: 10,
  name: 'FindCoordinator',
  versions: [1, 1],
  encode: (out, { transactionalId }) => {
    out.string(transactionalId).int8(1);
  },
  decode: (reader) => {
    reader.int32();
    const errorCode = reader.int16();
    reader.nullableString();
    return { errorCode, node: { id: reader.int32(), host: reader.string(), port: reader.int32() } };
  },
};

export interface ProducerIdentity {
  readonly producerId: bigint;
  readonly producerEpoch: number;
}

export const INIT_PRODUCER_ID: Api<
  { readonly transactionalId: string | null; readonly transactionTimeoutMs: number },
  WithError & ProducerIdentity
> = {
  key: 22,
  name: 'InitProducerId',
  versions: [0, 1],
  encode: (out, { transactionalId, transactionTimeoutMs }) => {
    out.string(transactionalId).int32(transactionTimeoutMs);
  },
  decode: (reader) => {
    reader.int32();
    return { errorCode: reader.int16(), producerId: reader.int64(), producerEpoch: reader.int16() };
  },
};

export interface TopicPartitions {
  readonly topic: string;
  readonly partitions: readonly number[];
}

export interface PartitionError extends WithError {
  readonly topic: string;
  readonly partition: number;
}

export const ADD_PARTITIONS_TO_TXN: Api<
  ProducerIdentity & { readonly transactionalId: string; readonly topics: readonly TopicPartitions[] },
  readonly PartitionError[]
> = {
  key: 24,
  name: 'AddPartitionsToTxn',
  versions: [0, 1],
  encode: (out, request) => {
    out.string(request.transactionalId).int64(request.producerId).int16(request.producerEpoch);
    out.array(request.topics, ({ topic, partitions }) => {
      out.string(topic).array(partitions, (partition) => out.int32(partition));
    });
  },
  decode: (reader) => {
    reader.int32();
    return reader
      .array(() => {
        const topic = reader.string();
        return reader.array(() => ({ topic, partition: reader.int32(), errorCode: reader.int16() }));
      })
      .flat();
  },
};

export const END_TXN: Api<
  ProducerIdentity & { readonly transactionalId: string; readonly committed: boolean },
  WithError
> = {
  key: 26,
  name: 'EndTxn',
  versions: [0, 1],
  encode: (out, request) => {
    out
      .string(request.transactionalId)
      .int64(request.producerId)
      .int16(request.producerEpoch)
      .boolean(request.committed);
  },
  decode: (reader) => {
    reader.int32();
    return { errorCode: reader.int16() };
  },
};

export interface ProduceRequest {
  readonly transactionalId: string | null;
  readonly timeoutMs: number;
  readonly topics: readonly {
    readonly topic: string;
    readonly partitions: readonly {
      readonly partition: number;
      /** Writes one record batch. */
      readonly write: (out: WireWriter) => void;
    }[];
  }[];
}

export interface ProduceResult extends PartitionError {
  /** Which records of the batch are at fault, by index; empty when the broker does not say. */
  readonly badRecords: readonly number[];
}

/** With acks = all. */
export const PRODUCE: Api<ProduceRequest, readonly ProduceResult[]> = {
  key: 0,
  name: 'Produce',
  versions: [7, 8],
  encode: (out, { transactionalId, timeoutMs, topics }) => {
    out.string(transactionalId).int16(-1).int32(timeoutMs);
    out.array(topics, ({ topic, partitions }) => {
      out.string(topic).array(partitions, ({ partition, write }) => {
        out.int32(partition).int32(0);
        const start = out.length;
        write(out);
        out.buffer.writeInt32BE(out.length - start, start - 4);
      });
    });
  },
  decode: (reader, version) => {
    const results = reader.array(() => {
      const topic = reader.string();
      return reader.array(() => {
        const partition = reader.int32();
        const errorCode = reader.int16();
        // base_offset, log_append_time_ms, log_start_offset
        reader.bytes(24);
        let badRecords: number[] = [];
        if (version >= 8) {
          badRecords = reader.array(() => {
            const index = reader.int32();
            reader.nullableString();
            return index;
          });
          reader.nullableString();
        }
        return { topic, partition, errorCode, badRecords };
      });
    });
    return results.flat();
  },
};

export const LIST_OFFSETS: Api<
  { readonly topic: string; readonly partition: number; readonly timestamp: bigint },
  WithError & { readonly offset: bigint }
> = {
  key: 2,
  name: 'ListOffsets',
  versions: [2, 2],
  encode: (out, { topic, partition, timestamp }) => {
    // A client, not a replica; read_uncommitted: up to the high watermark.
    out.int32(-1).int8(0);
    out.array([topic], (name) => {
      out.string(name).array([partition], (index) => out.int32(index).int64(timestamp));
    });
  },
  decode: (reader) => {
    reader.int32();
    const [found] = reader
      .array(() => {
        reader.string();
        return reader.array(() => {
          reader.int32();
          const errorCode = reader.int16();
          reader.int64();
          return { errorCode, offset: reader.int64() };
        });
      })
      .flat();
    if (found === undefined) throw new RangeError('ListOffsets answered for no partition');
    return found;
  },
};

export interface FetchResult extends WithError {
  readonly highWatermark: bigint;
  readonly lastStableOffset: bigint;
  readonly abortedTransactions: readonly { readonly producerId: bigint; readonly firstOffset: bigint }[];
  readonly records: Buffer;
}

/** One partition, read_committed, without a fetch session. */
export const FETCH: Api<
  {
    readonly topic: string;
    readonly partition: number;
    readonly offset: bigint;
    readonly maxWaitMs: number;
    readonly maxBytes: number;
  },
  FetchResult
> = {
  key: 1,
  name: 'Fetch',
  versions: [11, 11],
  encode: (out, { topic, partition, offset, maxWaitMs, maxBytes }) => {
    out.int32(-1).int32(maxWaitMs).int32(1).int32(maxBytes).int8(1).int32(0).int32(-1);
    out.array([topic], (name) => {
      out.string(name).array([partition], (index) => {
        out.int32(index).int32(-1).int64(offset).int64(-1n).int32(maxBytes);
      });
    });
    out.array([], () => {}).string('');
  },
  decode: (reader) => {
    reader.int32();
    const errorCode = reader.int16();
    reader.int32();
    const [found] = reader
      .array(() => {
        reader.string();
        return reader.array((): FetchResult => {
          reader.int32();
          const result = {
            errorCode: reader.int16(),
            highWatermark: reader.int64(),
            lastStableOffset: reader.int64(),
            _: reader.int64(),
            abortedTransactions: reader.array(() => ({
              producerId: reader.int64(),
              firstOffset: reader.int64(),
            })),
          };
          reader.int32();
          return { ...result, records: reader.bytes(Math.max(0, reader.int32())) };
        });
      })
      .flat();
    if (found !== undefined) return found;
    return {
      errorCode,
      highWatermark: 0n,
      lastStableOffset: 0n,
      abortedTransactions: [],
      records: Buffer.alloc(0),
    };
  },
};

export const CREATE_TOPIC: Api<
  {
    readonly topic: string;
    /** -1: the brokers' default. */
    readonly partitions: number;
    readonly replicationFactor: number;
    readonly config: Readonly<Record<string, string>>;
    readonly timeoutMs: number;
  },
  WithError & { readonly message: string | null }
> = {
  key: 19,
  name: 'CreateTopics',
  versions: [2, 4],
  encode: (out, { topic, partitions, replicationFactor, config, timeoutMs }) => {
    out.array([topic], (name) => {
      out.string(name).int32(partitions).int16(replicationFactor);
      out.array([], () => {});
      out.array(Object.entries(config), ([key, value]) => out.string(key).string(value));
    });
    out.int32(timeoutMs).boolean(false);
  },
  decode: (reader) => {
    reader.int32();
    const [found] = reader.array(() => {
      reader.string();
      return { errorCode: reader.int16(), message: reader.nullableString() };
    });
    if (found === undefined) throw new RangeError('CreateTopics answered for no topic');
    return found;
  },
};

export type ConfigResource = { readonly kind: 'topic' | 'broker'; readonly name: string };
const RESOURCE_TYPE = { topic: 2, broker: 4 } as const;

export const DESCRIBE_CONFIG: Api<
  ConfigResource,
  WithError & { readonly config: ReadonlyMap<string, string> }
> = {
  key: 32,
  name: 'DescribeConfigs',
  versions: [1, 1],
  encode: (out, { kind, name }) => {
    out.array([name], (resource) =>
      out
        .int8(RESOURCE_TYPE[kind])
        .string(resource)
        .array(null, () => {}),
    );
    out.boolean(false);
  },
  decode: (reader) => {
    reader.int32();
    const [found] = reader.array(() => {
      const errorCode = reader.int16();
      reader.nullableString();
      reader.int8();
      reader.string();
      const entries = reader.array(() => {
        const entry = [reader.string(), reader.nullableString()] as const;
        // read_only, config_source, is_sensitive, synonyms
        reader.bytes(3);
        reader.array(() => {
          reader.string();
          reader.nullableString();
          reader.int8();
        });
        return entry;
      });
      const set = entries.filter((entry): entry is readonly [string, string] => entry[1] !== null);
      return { errorCode, config: new Map(set) };
    });
    if (found === undefined) throw new RangeError('DescribeConfigs answered for no resource');
    return found;
  },
};
