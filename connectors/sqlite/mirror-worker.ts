import { type MessagePort, parentPort } from 'node:worker_threads';
import { MirrorDatabase } from './mirror-database.ts';
import { type Answer, packError, type Request } from './worker-protocol.ts';

/** The worker thread's side: node:sqlite is synchronous, and a large batch would hold up everything else. */
function serve(port: MessagePort): void {
  let database: MirrorDatabase | undefined;

  const opened = (): MirrorDatabase => {
    if (database === undefined) throw new Error('The database is not open.');
    return database;
  };

  const answer = (request: Request): Answer => {
    switch (request.kind) {
      case 'open':
        database?.close();
        database = undefined;
        database = new MirrorDatabase(request.options);
        return { kind: 'opened', checkpoint: database.checkpoint };
      case 'define':
        opened().define(request.mirror, request.table);
        return { kind: 'done' };
      case 'write': {
        const { buffer, byteLength, to } = request;
        const bytes = Buffer.from(buffer, 0, byteLength);
        return { kind: 'written', buffer, ...opened().write({ bytes, to }) };
      }
      case 'close':
        database?.close();
        database = undefined;
        return { kind: 'done' };
    }
  };

  port.on('message', (request: Request) => {
    let reply: Answer;
    const buffer = request.kind === 'write' ? request.buffer : undefined;
    try {
      reply = answer(request);
    } catch (thrown) {
      reply = { kind: 'failed', error: packError(thrown), buffer };
    }
    port.postMessage(reply, buffer === undefined ? [] : [buffer]);
  });
}

if (parentPort !== null) serve(parentPort);
