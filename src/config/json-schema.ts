import { z } from 'zod';
import type { ConnectorRegistry } from './pipeline-config.ts';
import { pipelineSchema, sinkOptions } from './pipeline-schema.ts';

type Json = { [key: string]: unknown };

/**
 * JSON Schema (draft 2020-12) of the configuration file, for editors:
 * `# yaml-language-server: $schema=./tailrace.schema.json` on the file's first line.
 */
export function configJsonSchema<S>(registry: ConnectorRegistry<S>): Json {
  const schema = toJson(pipelineSchema(registry.source));
  const properties = schema['properties'] as Record<string, Json>;
  const common = toJson(sinkOptions)['properties'] as Json;
  const sinks = registry.sinks.map((connector) => {
    const options = toJson(connector.config);
    return {
      ...options,
      title: connector.type,
      properties: { type: typeSchema(connector.type), ...(options['properties'] as Json), ...common },
      required: ['type', ...((options['required'] as string[] | undefined) ?? [])],
    };
  });
  (properties['sinks'] as Json)['additionalProperties'] = { oneOf: sinks };

  const mappings = registry.sinks.map((connector) => {
    const options = toJson(connector.mapping);
    return {
      ...options,
      title: `into ${connector.type}`,
      properties: {
        sink: { type: 'string', description: `Name of a sink of type ${connector.type}.` },
        ...(options['properties'] as Json),
      },
      required: ['sink', ...((options['required'] as string[] | undefined) ?? [])],
    };
  });
  const line = { anyOf: [{ type: 'string', description: 'Name of a sink.' }, ...mappings] };
  const table = (properties['tables'] as Json)['additionalProperties'] as Json;
  const to = (table['properties'] as Record<string, Json>)['to'] as Json;
  to['anyOf'] = [...line.anyOf, { type: 'array', minItems: 1, items: line }];
  return { ...schema, title: 'Tailrace pipeline' };
}

/** `type: null` is read as the type of that name. */
function typeSchema(type: string): Json {
  return type === 'null' ? { enum: ['null', null] } : { const: type };
}

function toJson(schema: z.ZodType): Json {
  const json = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', reused: 'inline' }) as Json;
  return json;
}
