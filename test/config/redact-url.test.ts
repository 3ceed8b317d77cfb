import { expect, test } from 'vitest';
import { redactUrl } from '../../src/config/redact-url.ts';

test.each([
  ['postgresql://u:secret@h/db', 'postgresql://u:***@h/db'],
  ['postgresql://u@h/db', 'postgresql://u@h/db'],
  ['postgresql://h:5432/db', 'postgresql://h:5432/db'],
  ['postgresql://u:se@cret@h/db', 'postgresql://u:***@h/db'],
  ['postgresql://u:secret@a,b:2/db?x=1', 'postgresql://u:***@a,b:2/db?x=1'],
  [
    'postgresql://h/db?password=secret&sslpassword=secret&application_name=a',
    'postgresql://h/db?password=***&sslpassword=***&application_name=a',
  ],
  ['https://elastic:secret@es:9200/?api_key=secret', 'https://elastic:***@es:9200/?api_key=***'],
  ['no url at all', 'no url at all'],
])('%s', (url, redacted) => {
  expect(redactUrl(url)).toBe(redacted);
});
