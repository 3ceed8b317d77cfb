import { expect, test } from 'vitest';
import { WaitTimeoutError, waitFor } from './wait.ts';

test('returns the first truthy value', async () => {
  let looks = 0;
  expect(await waitFor(() => (looks += 1) === 3 && 'there', { intervalMs: 1 })).toBe('there');
});

test('says what it waited for, and what it saw last', async () => {
  const waiting = waitFor(() => null, { timeoutMs: 20, intervalMs: 1, describe: 'the slot to be free' });
  await expect(waiting).rejects.toThrow(
    /Waited 20 ms for the slot to be free; after \d+ looks it was null\./,
  );
});

test('a throw is "not yet", and the cause in the end', async () => {
  const cause = new Error('refused');
  const failing = waitFor(
    () => {
      throw cause;
    },
    { timeoutMs: 20, intervalMs: 1 },
  );
  await expect(failing).rejects.toMatchObject({ name: 'WaitTimeoutError', cause });
});

test('a look that never answers does not hold up the timeout', async () => {
  await expect(waitFor(() => new Promise(() => {}), { timeoutMs: 20 })).rejects.toBeInstanceOf(
    WaitTimeoutError,
  );
});
