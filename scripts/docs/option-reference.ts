import { registry } from '../../src/app/registry.ts';
import { configJsonSchema } from '../../src/config/json-schema.ts';

interface Schema {
  readonly title?: string;
  readonly description?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
  readonly examples?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
}

/** The configuration file, option by option, from the same schema that validates it. */
export function renderOptionReference(): string {
  const schema = configJsonSchema(registry) as Schema;
  const { source, sinks, tables, ...rest } = schema.properties ?? {};
  const table = additional(tables);
  const to = table?.properties?.['to'];
  return `# Options

<!-- Written by npm run docs from the schemas in src/config and connectors/. -->

Every option of the configuration file. [Configuration](configuration.md) explains them with examples; \`tailrace schema\` prints
the JSON Schema for editors.

## The file

${rows({ properties: rest, required: schema.required ?? [] })}

## source

${source === undefined ? '' : rows(source)}

${(additional(sinks)?.oneOf ?? []).map((sink) => `## Sinks of type ${sink.title}\n\n${sink.description ?? ''}\n\n${rows(sink)}`).join('\n\n')}

## tables

Each key is a table or a pattern.

${rows({ properties: { columns: table?.properties?.['columns'] ?? {}, to: { description: to?.description ?? '' } }, required: ['to'] })}

${(to?.anyOf ?? [])
  .filter((line) => line.title !== undefined)
  .map((line) => `### Mappings ${line.title}\n\n${line.description ?? ''}\n\n${rows(line)}`)
  .join('\n\n')}
`;
}

function additional(schema: Schema | undefined): Schema | undefined {
  const below = schema?.additionalProperties;
  return typeof below === 'object' ? below : undefined;
}

function rows(schema: Schema): string {
  const lines = [...flatten(schema, '')].map(
    ({ path, option, required }) =>
      `| \`${path}\` | ${cell(typeOf(option))} | ${required ? 'required' : cell(defaultOf(option))} | ${cell(option.description ?? '')}${examples(option)} |`,
  );
  return ['| option | type | default | |', '|---|---|---|---|', ...lines].join('\n');
}

function* flatten(
  schema: Schema,
  prefix: string,
): Generator<{ path: string; option: Schema; required: boolean }> {
  for (const [name, option] of Object.entries(schema.properties ?? {})) {
    const path = prefix + name;
    yield { path, option, required: (schema.required ?? []).includes(name) && option.default === undefined };
    const nested = [option, ...(option.anyOf ?? [])].filter(
      (candidate) => candidate.properties !== undefined,
    );
    for (const below of nested) yield* flatten(below, `${path}.`);
  }
}

function typeOf(schema: Schema): string {
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``;
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${String(value)}\``).join(', ');
  const alternatives = schema.anyOf ?? schema.oneOf;
  if (alternatives !== undefined) return [...new Set(alternatives.map(typeOf))].filter(Boolean).join(' or ');
  if (schema.type === 'array')
    return `list of ${schema.items === undefined ? 'values' : typeOf(schema.items)}`;
  if (schema.type === 'object') return schema.properties === undefined ? 'map' : 'keys below';
  return String(schema.type ?? '');
}

function defaultOf(schema: Schema): string {
  if (schema.default === undefined || (typeof schema.default === 'object' && schema.default !== null))
    return '';
  return `\`${String(schema.default)}\``;
}

function examples(schema: Schema): string {
  const given = (schema.examples ?? []).map(
    (example) => `\`${cell(typeof example === 'string' ? example : JSON.stringify(example))}\``,
  );
  return given.length === 0 ? '' : ` Example: ${given.join(', ')}`;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
