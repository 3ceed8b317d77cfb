import type { Route } from '../../src/delivery/sink.ts';
import type { EventView } from '../../src/events/change-event.ts';
import type { RecordEncoder } from '../../src/events/formats/contract.ts';
import type { Topic } from './topics/topics.ts';

export class KafkaRoute implements Route {
  readonly topic: Topic;
  readonly encoder: RecordEncoder;

  constructor(topic: Topic, encoder: RecordEncoder) {
    this.topic = topic;
    this.encoder = encoder;
  }

  get destination(): string {
    return this.topic.topic;
  }

  parts(event: EventView): number {
    return this.encoder.parts(event);
  }
}
