import { access, constants, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { CheckInput, Finding } from '../../src/delivery/sink.ts';
import { asTailraceError, type TailraceError } from '../../src/errors/tailrace-error.ts';
import { compileDestinationTemplate } from '../../src/events/formats/templates.ts';
import type { SqliteConfig, SqliteMapping } from './config.ts';
import { defineMirror, type MirrorDefinition } from './define-mirror.ts';
import { foldCase, quoteText } from './sql.ts';
import { translateError } from './sqlite-errors.ts';

/** Looks at the file and at each mapping; makes nothing. */
export async function* checkSqlite(
  input: CheckInput<SqliteConfig, SqliteMapping>,
): AsyncGenerator<Finding, void, undefined> {
  yield await checkFile(resolve(input.context.baseDir, input.config.path));
  const sources = new Map<string, string>();
  for (const { mapping, relation } of input.tables) {
    const name = compileDestinationTemplate(mapping.options.table, input.context)(relation);
    const source = `${relation.schema}.${relation.table}`;
    const other = sources.get(foldCase(name));
    sources.set(foldCase(name), source);
    if (other !== undefined) {
      yield {
        level: 'error',
        about: `${mapping.where}: ${source} and ${other} would share the mirror table ${name}.`,
        fix: 'Tell them apart in the mapping: `table: "{schema}_{table}"`.',
      };
      continue;
    }
    try {
      const mirror = defineMirror(mapping, relation, name);
      yield checkTokenizer(mapping.where, mirror) ?? {
        level: 'ok',
        about: `${mapping.id}: mirrored as table ${name}${mirror.table.key.length === 0 ? ', rows matched whole' : ''}`,
      };
    } catch (thrown) {
      yield finding(asTailraceError(thrown));
    }
  }
}

async function checkFile(path: string): Promise<Finding> {
  const there = await stat(path).catch(() => undefined);
  if (there === undefined) {
    const directory = await existingParent(path);
    return (await writable(directory))
      ? { level: 'ok', about: `${path} will be made` }
      : {
          level: 'error',
          about: `${directory} is not writable.`,
          fix: 'Give the process write access to it.',
        };
  }
  if (!(await writable(path)) || !(await writable(dirname(path)))) {
    return {
      level: 'error',
      about: `${path} or its directory is not writable.`,
      fix: 'SQLite keeps its write-ahead log beside the file: give the process write access to both.',
    };
  }
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(path, { readOnly: true });
    db.prepare('SELECT count(*) FROM sqlite_schema').get();
    return { level: 'ok', about: `${path} is a SQLite database` };
  } catch (thrown) {
    return finding(asTailraceError(translateError(thrown, path)));
  } finally {
    db?.close();
  }
}

function checkTokenizer(where: string, { table }: MirrorDefinition): Finding | undefined {
  if (table.search === undefined) return undefined;
  const { tokenizer } = table.search;
  const db = new DatabaseSync(':memory:');
  try {
    db.exec(`CREATE VIRTUAL TABLE probe USING fts5(text, tokenize=${quoteText(tokenizer)})`);
    return undefined;
  } catch {
    return {
      level: 'error',
      about: `${where}: SQLite has no tokenizer ${JSON.stringify(tokenizer)}.`,
      fix: 'Choose one of unicode61, ascii, porter and trigram, with their options: https://www.sqlite.org/fts5.html#tokenizers',
    };
  } finally {
    db.close();
  }
}

function finding({ message, fix }: TailraceError): Finding {
  return { level: 'error', about: message, fix };
}

async function existingParent(path: string): Promise<string> {
  const parent = dirname(path);
  const there = await stat(parent).catch(() => undefined);
  return there !== undefined || parent === path ? parent : existingParent(parent);
}

async function writable(path: string): Promise<boolean> {
  return access(path, constants.W_OK).then(
    () => true,
    () => false,
  );
}
