import { registry } from '../../src/app/registry.ts';
import { configJsonSchema } from '../../src/config/json-schema.ts';
import { debeziumOptions } from '../../src/events/formats/debezium/options.ts';
import { plainOptions } from '../../src/events/formats/plain/options.ts';
import { blockOf, type Schema, valuesOf } from './json-schema.ts';
import { optionRow } from './option-row.ts';

const FORMAT_OPTIONS = new Set([...Object.keys(debeziumOptions), ...Object.keys(plainOptions)]);

/** The configuration file, option by option, from the same schema that validates it. */
export function renderOptionReference(): string {
  const schema = configJsonSchema(registry) as Schema;
  const { source = {}, sinks, tables } = schema.properties ?? {};
  const table = valuesOf(tables) ?? {};
  const to = table.properties?.['to'];
  const mappings = (to?.anyOf ?? []).filter(({ properties }) => properties?.['sink'] !== undefined);
  const types = (valuesOf(sinks)?.oneOf ?? []).map((sink) => ({
    name: sink.title ?? '',
    sink,
    mapping: mappings.find(({ title }) => title === `into ${sink.title}`) ?? {},
  }));
  return [
    INTRODUCTION,
    `- [The file](#the-file)\n- [source](#source)\n- [tables](#tables)\n${types
      .map(({ name }) => `- [Sinks of type ${name}](#${slug(sinkTitle(name))})`)
      .join('\n')}\n- [Record formats](#record-formats)`,
    '## The file',
    ...blockTables({ ...schema, properties: shallow(schema) }, 'the file'),
    '## source',
    ...blockTables(source, 'source'),
    '## tables',
    'Each key is a [table or a pattern](configuration.md#tables); below it:',
    ...blockTables({ ...table, properties: { ...table.properties, to: withoutAlternatives(to) } }, 'tables'),
    ...types.flatMap(({ name, sink, mapping }) => [
      `## ${sinkTitle(name)}`,
      PAGES[name] ?? sink.description ?? '',
      ...blockTables(sink, name),
      `### ${name}: mappings`,
      'One line of `to:`.',
      ...blockTables(ownOptions(mapping), `${name}: mappings`),
      takesFormats(mapping) ? 'And the options of its [record format](#record-formats).' : '',
    ]),
    '## Record formats',
    'Options of a mapping into a sink of type kafka, file, stdout or null, beside `format`.',
    '### format: debezium',
    'Names and values are Debezium’s, with `_` for `.`. [What differs](debezium-differences.md).',
    ...formatTable(mappings, Object.keys(debeziumOptions), 'Debezium: '),
    '### format: plain',
    'The row alone: [its encoding](debezium-differences.md#the-plain-format).',
    ...formatTable(mappings, Object.keys(plainOptions), 'plain: '),
  ]
    .filter((part) => part !== '')
    .join('\n\n')
    .concat('\n');
}

const INTRODUCTION = `# Options

<!-- Written by npm run docs from the schemas in src/config and connectors/. -->

Every option of the configuration file. [Configuration](configuration.md) explains the file with examples; \`tailrace schema\`
prints all this as a JSON Schema for editors.

A *size* is a whole number and a unit of 1024: \`512KiB\`, \`64MiB\`, \`1GiB\`, \`2TiB\`. A *duration* is a whole number and a unit:
\`500ms\`, \`10s\`, \`5m\`, \`2h\`, \`7d\`. Any text may hold \`\${NAME}\` of the environment, or be \`file:<path>\`.`;

const PAGES: Readonly<Record<string, string>> = {
  kafka: 'Records into topics. [What arrives, and how](kafka.md).',
  elasticsearch: 'Rows as documents of indices. [What arrives, and how](elasticsearch.md).',
};

function sinkTitle(type: string): string {
  return `Sinks of type ${type}`;
}

/** Blocks with pages of their own are only named. */
function shallow(schema: Schema): Readonly<Record<string, Schema>> {
  return Object.fromEntries(
    Object.entries(schema.properties ?? {}).map(([name, option]) => {
      if (name === 'source' || name === 'tables' || name === 'sinks') {
        return [name, { description: `${option.description ?? ''} ${LINKS[name]}`, type: 'object' }];
      }
      return [name, option];
    }),
  );
}

const LINKS = {
  source: '[Options](#source).',
  sinks: 'Each has a `type`, and the options of its type, below.',
  tables: '[Options](#tables).',
} as const;

function withoutAlternatives(schema: Schema | undefined): Schema {
  return { description: schema?.description ?? '' };
}

/** The table of a block, and one more for each block below it, each under a heading of its own. */
function blockTables(schema: Schema, path: string): string[] {
  const below: string[] = [];
  const required = new Set(schema.required);
  const rows = Object.entries(schema.properties ?? {}).map(([name, option]) => {
    const block = blockOf(option);
    const heading = path === 'the file' ? name : `${path}: ${name}`;
    if (block !== undefined) {
      below.push(`### ${heading}`, ...blockTables(block, heading));
    }
    return optionRow({
      name,
      option,
      required: required.has(name) && option.default === undefined,
      anchor: block === undefined ? undefined : slug(heading),
    });
  });
  return [table(rows), ...below];
}

function table(rows: readonly string[]): string {
  return ['| option | takes | default | |', '|---|---|---|---|', ...rows].join('\n');
}

function takesFormats(mapping: Schema): boolean {
  return mapping.properties?.['format'] !== undefined;
}

function ownOptions(mapping: Schema): Schema {
  const own = Object.entries(mapping.properties ?? {}).filter(([name]) => !FORMAT_OPTIONS.has(name));
  return { ...mapping, properties: Object.fromEntries(own) };
}

function formatTable(mappings: readonly Schema[], names: readonly string[], prefix: string): string[] {
  const options = mappings.find(takesFormats)?.properties ?? {};
  const rows = names.map((name) => {
    const option = options[name] ?? {};
    const description = (option.description ?? '').replace(prefix, '');
    return optionRow({
      name,
      option: { ...option, description: description.slice(0, 1).toUpperCase() + description.slice(1) },
      required: false,
    });
  });
  return [table(rows)];
}

/** As GitHub makes an anchor of a heading. */
function slug(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
}
