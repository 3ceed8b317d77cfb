import { z } from 'zod';
import { byteSize, duration } from '../../src/config/scalars.ts';
import { indexNameProblem } from './documents/index-name.ts';

/** Longest time a Node.js timer can hold. */
const MAX_TIMER_MS = 2 ** 31 - 1;
/** Elasticsearch takes no request above http.max_content_length, 100 MB unless changed. */
const MAX_BULK_BYTES = 100 * 1024 * 1024;

const nodeUrl = z
  .url({ protocol: /^https?$/, error: 'expected a URL such as https://search.example.com:9200' })
  .refine((text) => !/^[a-z]+:\/\/[^/]*@/i.test(text), {
    error: 'user and password belong under `auth`, not into the URL: it is logged',
  });

const auth = z
  .strictObject({
    api_key: z
      .string()
      .min(1)
      .optional()
      .meta({
        description:
          'An API key in its encoded form, as the API that creates it answers it in `encoded` (base64 of id:key).',
        examples: ['${ES_API_KEY}'],
      }),
    username: z
      .string()
      .min(1)
      .optional()
      .meta({ description: 'Basic authentication; goes with `password`.', examples: ['tailrace'] }),
    password: z
      .string()
      .min(1)
      .optional()
      .meta({ description: 'Basic authentication; goes with `username`.', examples: ['${ES_PASSWORD}'] }),
  })
  .refine(
    ({ api_key, username, password }) =>
      api_key === undefined
        ? username !== undefined && password !== undefined
        : username === undefined && password === undefined,
    { error: 'expected either api_key, or username and password' },
  )
  .meta({ description: 'How Tailrace shows who it is. Default: not at all.' });

const tls = z
  .strictObject({
    ca: z
      .string()
      .min(1)
      .optional()
      .meta({
        description:
          'Certificates that are trusted: a file or the PEM text itself. Default: the public certificate authorities that Node.js ships.',
        examples: ['/etc/tailrace/http_ca.crt'],
      }),
    insecure: z.boolean().default(false).meta({
      description:
        'Trusts whoever answers. Encrypts against listeners, not against impostors: for experiments only.',
    }),
  })
  .meta({ description: 'For https URLs.' });

const bulk = z
  .strictObject({
    bytes: byteSize
      .refine((bytes) => bytes >= 1024 && bytes <= MAX_BULK_BYTES, {
        error: 'expected between 1KiB and 100MiB',
      })
      .prefault('5MiB')
      .meta({
        description:
          'Size of a bulk request; one operation that is larger goes alone. Halved for a while when the server finds it too much.',
        examples: ['5MiB'],
      }),
    actions: z
      .int()
      .min(1)
      .max(100_000)
      .default(5000)
      .meta({ description: 'Operations in a bulk request.', examples: [5000] }),
  })
  .prefault({})
  .meta({ description: 'Upper bounds of one bulk request.' });

const indexName = z.string().refine((name) => indexNameProblem(name) === undefined, {
  error: ({ input }) => `not a name for an index: ${indexNameProblem(String(input))}`,
});

export const configSchema = z.strictObject({
  url: z
    .union([nodeUrl, z.array(nodeUrl).min(1)])
    .transform((url) => (typeof url === 'string' ? [url] : url))
    .meta({
      description: 'Address of the cluster: of one node, of a load balancer, or of several nodes.',
      examples: ['http://localhost:9200', ['https://es1:9200', 'https://es2:9200']],
    }),
  auth: auth.optional(),
  tls: tls.optional(),
  request_timeout: duration
    .refine((ms) => ms >= 100 && ms <= MAX_TIMER_MS, { error: 'expected a duration between 100ms and 24d' })
    .prefault('30s')
    .meta({
      description:
        'How long an answer may take. What is not answered by then is sent again. Keep it below the index setting gc_deletes (60s).',
      examples: ['30s'],
    }),
  bulk,
  in_flight: z
    .int()
    .min(1)
    .max(16)
    .default(2)
    .meta({
      description:
        'Bulk requests on their way at once. A document is never in two of them: order per document does not depend on this.',
      examples: [2],
    }),
  compression: z.boolean().default(false).meta({
    description: 'Compresses requests and answers (gzip): for clusters that are far away.',
  }),
  positions_index: indexName.default('tailrace-positions').meta({
    description: 'Index that holds one document per sink: how far it is, and which indices are its own.',
    examples: ['tailrace-positions'],
  }),
  refresh: z.boolean().default(false).meta({
    description: 'Makes every write visible to searches at once. For tests: it costs most of the throughput.',
  }),
});

export type ElasticsearchConfig = z.output<typeof configSchema>;

const definition = z.record(z.string(), z.unknown());

export const mappingSchema = z.strictObject({
  index: z
    .string()
    .min(1)
    .default('{schema}-{table}')
    .meta({
      description:
        'Index (or alias of one index) for the rows: text with {schema}, {table}, {database} and {pipeline}, which are lower-cased. Two tables cannot share an index.',
      examples: ['orders', '{pipeline}-{table}'],
    }),
  id: z
    .string()
    .min(1)
    .optional()
    .meta({
      description:
        'Document id: text with {column}. The columns must belong to the replica identity. Default: the key columns, joined by `:` ' +
        '(`\\` and `:` inside a value are escaped by `\\`). An id above 512 bytes becomes `\\#` and its SHA-256.',
      examples: ['{id}', '{tenant}-{id}'],
    }),
  mappings: z
    .record(z.string(), definition)
    .default({})
    .meta({
      description:
        'Per column, the field definition to use in place of the one derived from the column type.',
      examples: [{ status: { type: 'keyword' }, embedding: { type: 'dense_vector', dims: 384 } }],
    }),
  settings: definition.default({}).meta({
    description: 'Index settings for an index that Tailrace creates.',
    examples: [{ number_of_shards: 3, number_of_replicas: 1, refresh_interval: '5s' }],
  }),
  dynamic: z
    .union([z.literal(false), z.literal('strict')])
    .default(false)
    .meta({
      description:
        'What Elasticsearch does with fields that no column has: ignores them (false) or refuses the document (strict). For an index that Tailrace creates.',
    }),
});

export type ElasticsearchMapping = z.output<typeof mappingSchema>;
