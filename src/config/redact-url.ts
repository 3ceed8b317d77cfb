const USER_INFO = /^([a-z][a-z0-9+.-]*:\/\/[^:@/?#]*):([^/?#]*)@/i;
const SECRET_PARAMETER = /([?&](?:[a-z]*password|token|api_?key|secret)=)[^&#]*/gi;

/**
 * The URL as it may be logged: passwords in the user part and in query parameters become `***`. Works on text that is not quite a URL
 * (libpq allows several hosts, passwords may hold an unescaped `@`), so that a mistake in it does not print it.
 */
export function redactUrl(url: string): string {
  return url.replace(USER_INFO, '$1:***@').replace(SECRET_PARAMETER, '$1***');
}
