import { Writable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { TailraceError } from '../../src/errors/tailrace-error.ts';
import { createPinoLogger, type PinoLoggerOptions } from '../../src/observe/pino-logger.ts';

class Captured extends Writable {
  text = '';
  readonly isTTY: boolean;

  constructor(isTTY = false) {
    super({ decodeStrings: false });
    this.isTTY = isTTY;
  }

  override _write(chunk: string | Buffer, _: BufferEncoding, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

function logged(
  write: (logger: ReturnType<typeof createPinoLogger>) => void,
  options: Partial<PinoLoggerOptions> = {},
): string {
  const stream = new Captured();
  write(createPinoLogger({ level: 'info', format: 'json', stream, ...options }));
  return stream.text;
}

describe('the log', () => {
  test('is one JSON object a line, with the level by name', () => {
    expect(
      JSON.parse(logged((logger) => logger.child({ sink: 'search' }).warn({ attempt: 2 }, 'again'))),
    ).toMatchObject({
      level: 'warn',
      sink: 'search',
      attempt: 2,
      msg: 'again',
    });
  });

  test('leaves out what is below its level', () => {
    expect(logged((logger) => logger.debug({}, 'x'))).toBe('');
  });

  test('shows no secret, wherever it stands', () => {
    const secrets = new Set(['p@ss"word', 'key-12345']);
    const text = logged(
      (logger) => {
        logger.info(
          { url: 'postgres://user:other-secret@host/db', header: 'ApiKey key-12345' },
          'with p@ss"word',
        );
        const cause = new Error('authentication of p@ss"word failed');
        logger.error(
          { err: new TailraceError({ code: 'E_AUTH', message: 'm key-12345', cause }) },
          'refused',
        );
      },
      { secrets },
    );
    for (const secret of ['key-12345', 'p@ss', 'other-secret']) expect(text).not.toContain(secret);
    expect(text).toContain('***');
  });

  test('gives codes, fixes and causes of errors, and nothing else that libraries hang on them', () => {
    const cause = Object.assign(new Error('boom'), {
      code: '23505',
      detail: 'Key (email)=(ada@example.com) exists',
    });
    const error = new TailraceError({ code: 'E_SINK_CONFIG', message: 'No.', fix: 'Do this.', cause });
    const line = logged((logger) => logger.error({ err: error }, 'x'));
    expect(JSON.parse(line)).toMatchObject({
      err: {
        code: 'E_SINK_CONFIG',
        message: 'No.',
        fix: 'Do this.',
        cause: { code: '23505', message: 'boom' },
      },
    });
    expect(line).not.toContain('ada@example.com');
  });
});
