import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import { sanitizeTopicName } from '../../../src/events/formats/debezium/topic-name.ts';
import { compileDestinationTemplate } from '../../../src/events/formats/templates.ts';
import type { Relation } from '../../../src/events/relation.ts';

/** https://github.com/apache/kafka/blob/4.3.1/clients/src/main/java/org/apache/kafka/common/internals/Topic.java */
const MAX_LENGTH = 249;

export interface TopicNameContext {
  readonly pipeline: string;
  readonly database: string;
}

/** What is wrong with a topic template, in words for a configuration error; undefined when nothing is. */
export function topicTemplateProblem(template: string): string | undefined {
  try {
    compileDestinationTemplate(template, { pipeline: 'p', database: 'd' });
  } catch (error) {
    if (error instanceof TailraceError) return `${error.message} ${error.fix ?? ''}`.trim();
    throw error;
  }
  // What stands in the names of tables is rewritten; what was written by hand is corrected by hand.
  const literal = template.replaceAll(/\{[a-z]*\}/g, '');
  if (sanitizeTopicName(literal) === literal) return undefined;
  return 'a topic name holds letters, digits, dots, underscores and hyphens only';
}

interface Taker {
  readonly table: string;
  /** What of the table's name went into the topic's; empty for a topic that is named after no table. */
  readonly nameParts: readonly string[];
}

/**
 * Names topics after tables and remembers which table has which, so that two tables never meet in one topic only because of how their
 * names are written. Templates that leave a part of the name out share a topic on purpose.
 */
export class TopicNames {
  readonly #context: TopicNameContext;
  readonly #takenBy = new Map<string, Taker>();

  constructor(context: TopicNameContext) {
    this.#context = context;
  }

  /** Throws E_SINK_CONFIG for a name Kafka cannot have and for one that another table's name also becomes. */
  nameFor(template: string, relation: Relation, where: string): string {
    const { schema, table } = relation;
    const topic = sanitizeTopicName(compileDestinationTemplate(template, this.#context)(relation));
    if (topic.length === 0 || topic.length > MAX_LENGTH || topic === '.' || topic === '..') {
      throw new TailraceError({
        code: 'E_SINK_CONFIG',
        message: `The topic of table ${schema}.${table} would be named ${JSON.stringify(topic)} (${where}): a topic name has 1 to ${MAX_LENGTH} characters and is neither . nor ..`,
        fix: 'Give the mapping another `topic`.',
      });
    }
    const nameParts = [
      ...(template.includes('{schema}') ? ['schema', schema] : []),
      ...(template.includes('{table}') ? ['table', table] : []),
    ];
    this.#take(topic, { table: `${schema}.${table}`, nameParts }, where);
    return topic;
  }

  #take(topic: string, taker: Taker, where: string): void {
    const holder = this.#takenBy.get(topic);
    if (holder === undefined) {
      this.#takenBy.set(topic, taker);
      return;
    }
    // A topic named after no table, or one whose template does not tell these tables apart, is shared on purpose.
    const shared = holder.nameParts.length === 0 || taker.nameParts.length === 0;
    if (shared || JSON.stringify(holder.nameParts) === JSON.stringify(taker.nameParts)) return;
    throw new TailraceError({
      code: 'E_SINK_CONFIG',
      message: `Tables ${holder.table} and ${taker.table} would both be written to topic ${topic}: a topic name cannot show how their names differ (${where}).`,
      fix: `Give one of them a topic of its own:\n  ${taker.table}:\n    to: [{ sink: <this sink>, topic: <another name> }]`,
    });
  }
}
