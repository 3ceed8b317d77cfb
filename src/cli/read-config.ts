import { readFile } from 'node:fs/promises';
import { type AppSourceConfig, registry } from '../app/registry.ts';
import { loadConfig } from '../config/load-config.ts';
import type { PipelineConfig } from '../config/pipeline-config.ts';
import { TailraceError } from '../errors/tailrace-error.ts';
import { keepSecret } from './secrets.ts';

export type AppConfig = PipelineConfig<AppSourceConfig>;

/** Throws E_CONFIG with every finding. */
export async function readConfig(file: string): Promise<AppConfig> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw new TailraceError({
      code: 'E_CONFIG',
      message: `The configuration file ${file} cannot be read.`,
      fix: 'Name it with --config FILE or TAILRACE_CONFIG; examples/ holds files to begin with.',
      cause,
    });
  }
  const config = loadConfig({ file, text, env: process.env, registry });
  keepSecret(config.secrets);
  return config;
}
