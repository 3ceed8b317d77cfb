import { stringify } from 'yaml';
import { alternatives, blockOf, type Schema } from './json-schema.ts';

export interface OptionRow {
  readonly name: string;
  readonly option: Schema;
  readonly required: boolean;
  /** Link to the table of the block below this option. */
  readonly anchor?: string | undefined;
}

/** A default told in words moves to its own column when it is no longer than this. */
const SHORT_DEFAULT = 48;

/** One line of a Markdown table: name, what it takes, default, meaning. */
export function optionRow({ name, option, required, anchor }: OptionRow): string {
  const { text, told } = splitDefault(option.description ?? '');
  const inWords = told === undefined ? '' : quoted(told, valuesOf(option));
  const standard = required ? '**required**' : (defaultOf(option) ?? inWords);
  const about = `${meaning(plain(text), valuesOf(option))}${example(option)}`;
  return `| ${[code(name), takes(option, anchor), standard, about.trim()].map(cell).join(' | ')} |`;
}

/** `size`, `duration`, `text`, the values of an enumeration, or a link to the keys below. */
function takes(schema: Schema, anchor: string | undefined): string {
  const kinds = alternatives(schema).map((one) => {
    if (one.properties !== undefined && anchor !== undefined) return `[keys](#${anchor})`;
    return kindOf(one);
  });
  return [...new Set(kinds)].filter((kind) => kind !== '').join(' or ');
}

function kindOf(schema: Schema): string {
  if (schema.const !== undefined) return code(schema.const);
  if (schema.enum !== undefined) return [...new Set(schema.enum.map(code))].join(', ');
  switch (schema.type) {
    case 'string':
      return textKind(schema.pattern);
    case 'integer':
    case 'number':
      return 'number';
    case 'boolean':
      return '`true`, `false`';
    case 'array':
      return schema.items === undefined ? 'list' : `list of ${listed(kindOf(schema.items))}`;
    case 'object':
      return 'map';
    default:
      return '';
  }
}

function listed(kind: string): string {
  return kind === 'text' ? 'texts' : kind;
}

/** The scalars of src/config/scalars.ts are known by their patterns. */
function textKind(pattern: string | undefined): string {
  if (pattern?.includes('(ms|s|m|h|d)') === true) return 'duration';
  if (pattern?.includes('KiB') === true) return 'size';
  return 'text';
}

function defaultOf(option: Schema): string | undefined {
  const { default: given } = option;
  if (given === undefined || (typeof given === 'object' && given !== null)) return undefined;
  return code(given);
}

const DEFAULT_IN_WORDS = /\s*Default:? ([^.]*(?:\.[^\s.][^.]*)*)\.$/;

/** `... Default: what it is.` at the end of a description. */
function splitDefault(description: string): { readonly text: string; readonly told: string | undefined } {
  const match = DEFAULT_IN_WORDS.exec(description);
  const told = match?.[1];
  if (match === null || told === undefined || told.length > SHORT_DEFAULT)
    return { text: description, told: undefined };
  return { text: description.slice(0, match.index), told };
}

/** A value of the option looks like one, words like words. */
function quoted(told: string, values: readonly string[]): string {
  const [, first = '', rest = ''] = /^(\w+)(.*)$/s.exec(told) ?? [];
  if (values.includes(first) || /^\d/.test(first) || first.startsWith('__')) return code(first) + plain(rest);
  return plain(told);
}

function valuesOf(option: Schema): readonly string[] {
  return alternatives(option).flatMap((one) => {
    if (one.type === 'boolean' && one.const === undefined) return ['true', 'false'];
    return [...(one.enum ?? []), ...(one.const === undefined ? [] : [one.const])].map(String);
  });
}

/** Each value of an enumeration begins a line of its own where the description explains it (`stop: reading waits. detach: ...`). */
function meaning(text: string, values: readonly string[]): string {
  const place = (value: string): RegExp => new RegExp(`(^|\\s)${value}: `);
  return values
    .filter((value) => place(value).test(text))
    .reduce((lines, value) => lines.replace(place(value), `<br>\`${value}\`: `), text)
    .replace(/^<br>/, '');
}

/** An underscore inside a word is none. */
const MARKUP = /\*|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])/g;

/** Text that Markdown shows as it is; what stands between backticks is left alone. */
function plain(text: string): string {
  return text
    .split(/(`[^`]*`)/)
    .map((part, i) => (i % 2 === 1 ? part : part.replace(MARKUP, '\\$&').replaceAll('<', '&lt;')))
    .join('');
}

/** Only where it tells more than kind and default do. */
function example(option: Schema): string {
  const telling = alternatives(option).some(
    (one) =>
      (one.type === 'string' && one.enum === undefined && textKind(one.pattern) === 'text') ||
      one.type === 'array' ||
      (one.type === 'object' && blockOf(one) === undefined),
  );
  const given = (option.examples ?? []).filter((one) => one !== option.default);
  if (!telling || given.length === 0) return '';
  return ` For example ${given.map((one) => code(typeof one === 'string' ? one : flow(one))).join(', ')}.`;
}

/** As one writes it in YAML, on one line. */
function flow(value: unknown): string {
  return stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trim();
}

function code(value: unknown): string {
  const text = String(value);
  return text.includes('`') ? `\`\` ${text} \`\`` : `\`${text}\``;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
