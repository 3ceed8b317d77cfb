import { z } from 'zod';
import type { ConfigFinding } from './findings.ts';
import { hint } from './suggest.ts';
import type { YamlDocument } from './yaml-document.ts';

type JsonSchema = {
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly allOf?: readonly JsonSchema[];
};

export interface ValidateInput<T> {
  readonly document: YamlDocument;
  readonly schema: z.ZodType<T>;
  readonly value: unknown;
  /** Where `value` stands in the document. */
  readonly at: readonly PropertyKey[];
  readonly findings: ConfigFinding[];
}

/** Parses a part of the document; problems go to `findings` with their place, and the result is then undefined. */
export function validate<T>(input: ValidateInput<T>): T | undefined {
  const first = input.schema.safeParse(input.value);
  if (first.success) return first.data;
  // A reference to the environment is text; where a number or a switch belongs, the text is read as YAML would have.
  const retyped = retype(input.value, first.error.issues);
  const result = retyped === undefined ? first : input.schema.safeParse(retyped);
  if (result.success) return result.data;
  for (const issue of result.error.issues) input.findings.push(...findingsOf(issue, input));
  return undefined;
}

function findingsOf<T>(issue: z.core.$ZodIssue, input: ValidateInput<T>): ConfigFinding[] {
  const path = [...input.at, ...issue.path];
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(jsonSchemaOf(input.schema), issue.path);
    return issue.keys.map((key) =>
      input.document.finding([...path, key], 'key', `unknown option "${key}"${hint(key, known)}`),
    );
  }
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    // The alternative that got furthest knows best what is wrong.
    const depth = (issues: readonly z.core.$ZodIssue[]): number =>
      Math.max(...issues.map((inner) => inner.path.length));
    const best = [...issue.errors].sort((a, b) => depth(b) - depth(a))[0] ?? [];
    if (best.length > 0 && depth(best) > 0) {
      return best.flatMap((inner) => findingsOf({ ...inner, path: [...issue.path, ...inner.path] }, input));
    }
  }
  if (issue.code === 'invalid_key') {
    const why = issue.issues[0]?.message ?? issue.message;
    return [input.document.finding(path, 'key', `not a valid name: ${why}`)];
  }
  const missing = issue.code === 'invalid_type' && valueAt(input.value, issue.path) === undefined;
  return [input.document.finding(path, 'value', missing ? 'is required' : lowerFirst(issue.message))];
}

function retype(value: unknown, issues: readonly z.core.$ZodIssue[]): unknown {
  let changed: unknown;
  for (const issue of issues.flatMap(withAlternatives)) {
    if (issue.code !== 'invalid_type' || issue.path.length === 0) continue;
    const text = valueAt(value, issue.path);
    if (typeof text !== 'string') continue;
    const typed =
      issue.expected === 'boolean'
        ? { true: true, false: false }[text]
        : issue.expected === 'number' || issue.expected === 'int'
          ? numberOf(text)
          : undefined;
    if (typed === undefined) continue;
    changed ??= structuredClone(value);
    const parent = valueAt(changed, issue.path.slice(0, -1)) as Record<PropertyKey, unknown>;
    parent[issue.path.at(-1) as PropertyKey] = typed;
  }
  return changed;
}

/** An issue, and those of a union's alternatives, with paths from the same root. */
function withAlternatives(issue: z.core.$ZodIssue): z.core.$ZodIssue[] {
  if (issue.code !== 'invalid_union') return [issue];
  const inner = issue.errors.flat().map((below) => ({ ...below, path: [...issue.path, ...below.path] }));
  return [issue, ...inner.flatMap(withAlternatives)];
}

function numberOf(text: string): number | undefined {
  const number = Number(text);
  return text.trim() === '' || Number.isNaN(number) ? undefined : number;
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at = value;
  for (const step of path) at = (at as Record<PropertyKey, unknown> | undefined | null)?.[step];
  return at;
}

export function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', reused: 'inline' }) as JsonSchema;
}

/** Keys an object at `path` may have, by the schema's own JSON Schema. */
function knownKeys(schema: JsonSchema, path: readonly PropertyKey[]): string[] {
  let level: JsonSchema[] = alternatives(schema);
  for (const step of path) {
    level = level
      .flatMap((at) => {
        const below =
          typeof step === 'number' ? at.items : (at.properties?.[String(step)] ?? at.additionalProperties);
        return typeof below === 'object' ? [below] : [];
      })
      .flatMap(alternatives);
  }
  return [...new Set(level.flatMap((at) => Object.keys(at.properties ?? {})))];
}

function alternatives(schema: JsonSchema): JsonSchema[] {
  return [
    schema,
    ...[...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])].flatMap(alternatives),
  ];
}

function lowerFirst(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1);
}
