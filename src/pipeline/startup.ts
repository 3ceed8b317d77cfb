import type { Clock } from '../clock.ts';
import { TailraceError } from '../errors/tailrace-error.ts';
import type { EventLog } from '../event-log/contract.ts';
import { formatLsn, type Lsn } from '../events/lsn.ts';
import type { Logger } from '../observe/logger.ts';
import { decideStart, type SinkFacts } from './decide-start.ts';
import type { Source, SourceFacts } from './source.ts';
import { databaseIdentity } from './source-identity.ts';

const ASK_AGAIN_MS = 500;
/** A walsender whose client has vanished lives on until it notices; with the time-out off, a minute is waited. */
const SLOT_SLACK_MS = 5000;
const SLOT_WAIT_WITHOUT_TIMEOUT_MS = 60_000;

export interface StartupInput {
  readonly source: Source;
  readonly log: EventLog;
  readonly pipeline: string;
  readonly slotName: string;
  readonly sinks: () => readonly SinkFacts[];
  /** Why a sink has stopped: it will not tell where it stands. */
  readonly sinkError: (sink: string) => TailraceError | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

export interface Start {
  readonly facts: SourceFacts;
  readonly from: Lsn;
}

/** Asks the server, decides, and does what was decided, until streaming can begin. Throws when an operator has to decide. */
export async function settleStart(input: StartupInput): Promise<Start> {
  const { source, log, clock, logger, signal } = input;
  let waitingSinceMs: number | undefined;
  let saidSinks = false;
  for (;;) {
    signal.throwIfAborted();
    const facts = await source.inspect(signal);
    // In a process that has been streaming, the log in memory is ahead of the disk, and as true.
    const logFacts = {
      ...log.facts,
      endLsn: log.appended > log.facts.endLsn ? log.appended : log.facts.endLsn,
    };
    const { pipeline, slotName } = input;
    const decision = decideStart({ facts, pipeline, slotName, log: logFacts, sinks: input.sinks() });
    switch (decision.kind) {
      case 'refuse':
        throw new TailraceError({ code: decision.code, message: decision.message, fix: decision.fix });
      case 'create-slot': {
        await source.prepare(signal);
        await noteIdentity(input, facts, false);
        const from = await source.createSlot(signal);
        await log.restartAt(from);
        await noteIdentity(input, facts, true);
        logger.info({ slot: input.slotName, from: formatLsn(from) }, 'created the replication slot');
        return { facts: await source.inspect(signal), from };
      }
      case 'restart-log': {
        await source.prepare(signal);
        await log.restartAt(decision.from);
        await noteIdentity(input, facts, true);
        logger.warn({ from: formatLsn(decision.from) }, `a new event log begins: ${decision.said}`);
        return { facts, from: decision.from };
      }
      case 'resume':
        await source.prepare(signal);
        if (log.facts.identity?.timeline !== facts.timeline) await noteIdentity(input, facts, true);
        return { facts, from: decision.from };
      case 'wait-for-slot': {
        waitingSinceMs ??= clock.monotonicMs();
        const patienceMs =
          facts.walSenderTimeoutMs === 0
            ? SLOT_WAIT_WITHOUT_TIMEOUT_MS
            : facts.walSenderTimeoutMs + SLOT_SLACK_MS;
        if (clock.monotonicMs() - waitingSinceMs > patienceMs) {
          throw new TailraceError({
            code: 'E_SLOT_ACTIVE',
            message: `Replication slot "${input.slotName}" is in use by process ${decision.pid ?? 'unknown'} of the server.`,
            fix:
              `SELECT pid, application_name, client_addr, backend_start FROM pg_stat_replication WHERE pid = ${decision.pid ?? 'NULL'};\n` +
              'Stop that client, or give this pipeline a slot of its own (source.slot).',
          });
        }
        await clock.sleep(ASK_AGAIN_MS, signal);
        break;
      }
      case 'wait-for-sinks': {
        const failure = decision.sinks.map(input.sinkError).find((error) => error !== undefined);
        if (failure !== undefined) throw failure;
        if (!saidSinks) {
          logger.warn(
            { sinks: decision.sinks },
            'the start depends on sinks that cannot be reached; waiting for them',
          );
        }
        saidSinks = true;
        await clock.sleep(ASK_AGAIN_MS * 4, signal);
        break;
      }
    }
  }
}

/** The intent to create the slot is in the log before the slot: a crash between the two is no riddle. */
async function noteIdentity(input: StartupInput, facts: SourceFacts, slotCreated: boolean): Promise<void> {
  await input.log.setIdentity({
    pipeline: input.pipeline,
    database: databaseIdentity(facts),
    slot: input.slotName,
    generation: input.log.facts.identity?.generation ?? 1,
    timeline: facts.timeline,
    slotCreated,
  });
}
