import type { RelationDefinition } from '../../relation.ts';

/**
 * Debezium's rule for topic and schema names: everything but letters, digits, `.`, `_` and `-` becomes `_`, one for each UTF-16 unit.
 * Different names can become equal.
 */
export function sanitizeTopicName(name: string): string {
  return name.replace(/[^A-Za-z0-9._-]/g, '_');
}

/** `<topic.prefix>.<schema>.<table>`: Debezium's topic of a table, and the first part of its schema names. */
export function debeziumTopicName(topicPrefix: string, relation: RelationDefinition): string {
  return sanitizeTopicName(`${topicPrefix}.${relation.schema}.${relation.table}`);
}
