/** Below this length a secret is more likely to be a common word, and masking it would make texts unreadable. */
const MIN_SECRET_LENGTH = 4;

/** In any text: a URL that somebody's error message holds. */
const PASSWORD_IN_URL = /([a-z][a-z0-9+.-]*:\/\/[^:@/?#\s"]*):[^/?#\s"]*@/gi;

/** Leaves out of texts what must not be shown, as it is and as JSON writes it. */
export function secretMask(secrets: Iterable<string> = []): (text: string) => string {
  const spellings = [...secrets]
    .flatMap((secret) => [secret, ...passwordOf(secret)])
    .filter((secret) => secret.length >= MIN_SECRET_LENGTH)
    .flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1)]);
  // A secret may be part of another one.
  const longestFirst = [...new Set(spellings)].sort((a, b) => b.length - a.length);
  return (text) =>
    longestFirst.reduce(
      (masked, secret) => masked.replaceAll(secret, '***'),
      text.replace(PASSWORD_IN_URL, '$1:***@'),
    );
}

/** A URL is a secret because of this part of it, which may be shown alone. */
function passwordOf(secret: string): readonly string[] {
  const [, password] = /^[a-z][a-z0-9+.-]*:\/\/[^:@/?#\s]*:([^/?#\s]*)@/i.exec(secret) ?? [];
  if (password === undefined) return [];
  try {
    return [password, decodeURIComponent(password)];
  } catch {
    return [password];
  }
}
