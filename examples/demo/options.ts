import { parseArgs } from 'node:util';

export interface DemoOptions {
  /** Real Kafka and Elasticsearch too. */
  readonly full: boolean;
  /** How long the shop is open. */
  readonly seconds: number;
}

export const USAGE = `npm run demo [-- --full] [--seconds N]

  --full        adds a real Kafka and a real Elasticsearch: from Docker, or with Java 21 and Maven
  --seconds N   how long the shop is open; default 20
`;

/** Undefined: help was asked for, or the arguments are not understood. */
export function parseOptions(args: readonly string[]): DemoOptions | undefined {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        full: { type: 'boolean', default: false },
        seconds: { type: 'string', default: '20' },
        help: { type: 'boolean', default: false },
      },
    });
    const seconds = Number(values.seconds);
    if (values.help || !Number.isFinite(seconds) || seconds < 1) return undefined;
    return { full: values.full, seconds };
  } catch {
    return undefined;
  }
}
