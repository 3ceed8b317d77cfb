import { registry } from '../../app/registry.ts';
import { configJsonSchema } from '../../config/json-schema.ts';

export function schema(): void {
  process.stdout.write(`${JSON.stringify(configJsonSchema(registry), null, 2)}\n`);
}
