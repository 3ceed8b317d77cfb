import { connect } from 'node:net';

const apiKeys = { metadata: 3, findCoordinator: 10 } as const;
const requestTimeoutMs = 5000;

/** Whether a broker is registered and unfenced; the open port alone is too early. */
export async function brokerAnswers(address: string): Promise<boolean> {
  // Metadata v1 for no topic; the answer begins with the array of brokers.
  const response = await ask(address, apiKeys.metadata, int32(0));
  return response.readInt32BE(0) > 0;
}

/**
 * Whether groups and transactions have their coordinators. Their topics are made at the first question, and
 * until then the first group and the first transaction of a run would be refused for a second or so.
 */
export async function coordinatorsAnswer(address: string): Promise<boolean> {
  const answers = [0, 1].map(async (keyType) => {
    const response = await ask(
      address,
      apiKeys.findCoordinator,
      Buffer.concat([string('warm-up'), Buffer.from([keyType])]),
    );
    // throttle_time_ms, then the error code.
    return response.readInt16BE(4) === 0;
  });
  return (await Promise.all(answers)).every(Boolean);
}

/** One request in version 1, on a connection of its own; returns the response's body. */
async function ask(address: string, apiKey: number, body: Buffer): Promise<Buffer> {
  const separator = address.lastIndexOf(':');
  const socket = connect(Number(address.slice(separator + 1)), address.slice(0, separator));
  socket.setTimeout(requestTimeoutMs, () => socket.destroy(new Error('the broker does not answer')));
  try {
    const request = Buffer.concat([int16(apiKey), int16(1), int32(1), string('tailrace-tests'), body]);
    socket.write(Buffer.concat([int32(request.length), request]));
    let received = Buffer.alloc(0);
    for await (const chunk of socket) {
      received = Buffer.concat([received, chunk as Buffer]);
      if (received.length >= 4 && received.length >= 4 + received.readInt32BE(0)) return received.subarray(8);
    }
    throw new Error('the broker closed the connection');
  } finally {
    socket.destroy();
  }
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function string(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([int16(bytes.length), bytes]);
}
