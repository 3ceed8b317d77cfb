/** Fields of every document that no column can take. https://www.elastic.co/docs/reference/elasticsearch/mapping-reference/document-metadata-fields */
const METADATA: ReadonlySet<string> = new Set([
  '_id',
  '_index',
  '_type',
  '_source',
  '_size',
  '_doc_count',
  '_field_names',
  '_ignored',
  '_ignored_source',
  '_index_mode',
  '_inference_fields',
  '_nested_path',
  '_routing',
  '_meta',
  '_tier',
  '_seq_no',
  '_primary_term',
  '_version',
  '_feature',
  '_data_stream_timestamp',
]);

/** Why columns of these names cannot be fields of one index; undefined when they can. */
export function columnNameProblem(names: readonly string[]): string | undefined {
  const fields = new Set(names);
  for (const name of names) {
    const shown = JSON.stringify(name);
    if (METADATA.has(name)) return `column ${shown} has the name of a metadata field`;
    const steps = name.split('.');
    if (steps.some((step) => step.trim() === '')) {
      return `column ${shown} has an empty step: a dot in a field name leads into an object`;
    }
    for (let depth = 1; depth < steps.length; depth++) {
      const object = steps.slice(0, depth).join('.');
      if (fields.has(object)) {
        return `column ${shown} would be a field inside of column ${JSON.stringify(object)}: a dot in a field name leads into an object`;
      }
    }
  }
  return undefined;
}
