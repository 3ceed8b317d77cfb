import { describe, expect, test } from 'vitest';
import { elasticsearchConnector } from '../../../connectors/elasticsearch/elasticsearch-connector.ts';

const { config, mapping } = elasticsearchConnector;

test('a URL is enough', () => {
  const parsed = config.parse({ url: 'http://localhost:9200' });
  expect(parsed).toEqual({
    url: ['http://localhost:9200'],
    request_timeout: 30_000,
    bulk: { bytes: 5 * 1024 * 1024, actions: 5000 },
    in_flight: 2,
    compression: false,
    positions_index: 'tailrace-positions',
    refresh: false,
  });
  expect(elasticsearchConnector.capabilities(parsed)).toMatchObject({ inFlight: 2, maxBatchEvents: 5000 });
  expect(mapping.parse({})).toEqual({
    index: '{schema}-{table}',
    mappings: {},
    settings: {},
    dynamic: false,
  });
});

describe('what cannot be meant is refused', () => {
  test.each([
    [{}, 'url'],
    [{ url: 'localhost:9200' }, 'URL'],
    [{ url: [] }, ''],
    [{ url: 'http://elastic:secret@localhost:9200' }, 'belong under `auth`'],
    [{ url: 'http://x', auth: {} }, 'either api_key, or username and password'],
    [{ url: 'http://x', auth: { api_key: 'a', username: 'b', password: 'c' } }, 'either api_key'],
    [{ url: 'http://x', auth: { username: 'b' } }, 'either api_key'],
    [{ url: 'http://x', positions_index: 'Positions' }, 'it has upper-case letters'],
    [{ url: 'http://x', in_flight: 0 }, ''],
    [{ url: 'http://x', request_timeout: '1ms' }, 'between 100ms'],
    [{ url: 'http://x', bulk: { bytes: '1GiB' } }, 'between 1KiB'],
    [{ url: 'http://x', indx: 'y' }, 'indx'],
  ])('%j', (input, message) => {
    const result = config.safeParse(input);
    expect(result.success).toBe(false);
    expect(JSON.stringify(result.error?.issues)).toContain(message);
    expect(JSON.stringify(result.error?.issues)).not.toContain('elastic:secret');
  });

  test('dynamic: true would let values decide the mapping', () => {
    expect(mapping.safeParse({ dynamic: true }).success).toBe(false);
  });
});
