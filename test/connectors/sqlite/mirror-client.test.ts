import { expect, test } from 'vitest';
import { workerUrl } from '../../../connectors/sqlite/mirror-client.ts';

test('the worker is the source file beside the sources and the built file beside the built ones', () => {
  expect(workerUrl('file:///app/connectors/sqlite/mirror-client.ts').href).toBe(
    'file:///app/connectors/sqlite/mirror-worker.ts',
  );
  expect(workerUrl('file:///app/dist/connectors/sqlite/mirror-client.js').href).toBe(
    'file:///app/dist/connectors/sqlite/mirror-worker.js',
  );
});
