const FORBIDDEN = /[\\/*?"<>| ,#:\p{Cc}]/u;
const MAX_BYTES = 255;

/**
 * Why a name cannot be an index's, undefined when it can.
 * https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-indices-create
 */
export function indexNameProblem(name: string): string | undefined {
  if (name === '') return 'it is empty';
  if (name === '.' || name === '..') return 'it is . or ..';
  if (/^[-_+]/.test(name)) return 'it begins with -, _ or +';
  if (name !== name.toLowerCase()) return 'it has upper-case letters';
  const forbidden = FORBIDDEN.exec(name);
  if (forbidden !== null) return `it holds ${JSON.stringify(forbidden[0])}`;
  const bytes = Buffer.byteLength(name);
  return bytes > MAX_BYTES ? `it has ${bytes} bytes, ${MAX_BYTES} are allowed` : undefined;
}
