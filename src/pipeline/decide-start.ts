import type { ErrorCode } from '../errors/codes.ts';
import { TailraceError } from '../errors/tailrace-error.ts';
import type { LogFacts } from '../event-log/contract.ts';
import { formatLsn, type Lsn } from '../events/lsn.ts';
import type { Checkpoint } from '../events/position.ts';
import type { SourceFacts } from './source.ts';
import { databaseIdentity, identityOf } from './source-identity.ts';

/**
 * Where a sink stands, as far as it is known. `unreachable`: it could not be opened yet; `new`: it has no position.
 */
export type SinkFacts =
  | { readonly name: string; readonly state: 'positioned'; readonly checkpoint: Checkpoint }
  | { readonly name: string; readonly state: 'new' | 'unreachable' };

export type StartDecision =
  /** First start: note the intent in the log, make the slot, begin at its consistent point. */
  | { readonly kind: 'create-slot' }
  /** The log goes on where it ends. */
  | { readonly kind: 'resume'; readonly from: Lsn }
  /** The log begins anew at the slot's position, which every sink has passed. `said` tells the operator why. */
  | { readonly kind: 'restart-log'; readonly from: Lsn; readonly said: string }
  /** Somebody holds the slot: perhaps our own last connection. */
  | { readonly kind: 'wait-for-slot'; readonly pid: number | undefined }
  /** The answer depends on sinks that cannot be reached. */
  | { readonly kind: 'wait-for-sinks'; readonly sinks: readonly string[] }
  | { readonly kind: 'refuse'; readonly code: ErrorCode; readonly message: string; readonly fix: string };

export interface StartInput {
  readonly facts: SourceFacts;
  readonly pipeline: string;
  readonly slotName: string;
  readonly log: LogFacts;
  readonly sinks: readonly SinkFacts[];
}

/**
 * The decision table, first match wins. S = slot's confirmed_flush_lsn, R = end of the log, P = end LSN of each sink.
 *
 *  1 identity differs (system, database, pipeline, slot's name,
 *    plugin or database)                                              refuse E_IDENTITY
 *  2 slot missing; the log or any sink has a position                 refuse E_SLOT_MISSING; else create it
 *  3 slot invalidated                                                 refuse E_SLOT_LOST
 *  4 new timeline and R or a P beyond its switch point                refuse E_DIVERGED
 *  5 R or any P beyond the server's WAL end                           refuse E_DIVERGED
 *  6 slot active elsewhere                                            wait
 *  7 log there, S <= R                                                resume at R; see refuseSink() for each sink
 *  8 log there, S > R, every P >= S                                   new log from S, said
 *  9 log there, S > R, some P < S                                     refuse E_GAP
 * 10 log lost or empty, every P >= S                                  new log from S, said
 * 11 log lost or empty, some P < S                                    refuse E_SINK_BEHIND
 *
 * Only these comparisons see a gap: the server answers a start LSN older than confirmed_flush_lsn by silently starting there.
 * https://www.postgresql.org/docs/current/protocol-replication.html (START_REPLICATION ... LOGICAL)
 */
export function decideStart(input: StartInput): StartDecision {
  const { facts, log, sinks } = input;
  const slot = facts.slot;

  const foreign = foreignIdentity(input);
  if (foreign !== undefined) return foreign;

  const positioned = positionedOf(sinks);
  if (slot === undefined) {
    const holders = [
      ...(log.identity?.slotCreated === true || log.endLsn > 0n ? ['the event log'] : []),
      ...positioned.map((sink) => `sink ${sink.name}`),
    ];
    if (holders.length === 0) return { kind: 'create-slot' };
    return refuse(
      'E_SLOT_MISSING',
      `Replication slot "${input.slotName}" does not exist on ${facts.database} (timeline ${facts.timeline}), but ${list(holders)} ` +
        'already holds a position: changes since then cannot be asked for again.',
      'Find out who dropped the slot. To accept the gap, empty the sinks and the log directory and start anew.',
    );
  }

  if (slot.walStatus === 'lost' || slot.invalidationReason !== undefined) {
    return refuse(
      'E_SLOT_LOST',
      `Replication slot "${slot.name}" is invalidated (${slot.invalidationReason ?? 'wal_status = lost'}): the WAL it needs is gone.`,
      `${invalidationRemedy(slot.invalidationReason)}\nThen drop it (SELECT pg_drop_replication_slot('${slot.name}')), empty the sinks and the log directory, and start anew.`,
    );
  }

  const diverged = divergence(facts, log, [
    { who: 'the event log', lsn: log.endLsn },
    ...positioned.map((sink) => ({ who: `sink ${sink.name}`, lsn: sink.checkpoint.endLsn })),
  ]);
  if (diverged !== undefined) return diverged;

  if (slot.active) return { kind: 'wait-for-slot', pid: slot.activePid };

  // A slot that nobody has confirmed yet stands at its consistent point.
  const slotLsn = slot.confirmedFlushLsn ?? slot.restartLsn ?? 0n;
  const behind = positioned.filter((sink) => sink.checkpoint.endLsn < slotLsn);

  if (log.endLsn > 0n) {
    if (slotLsn <= log.endLsn) return { kind: 'resume', from: log.endLsn };
    const unreachable = sinks.filter((sink) => sink.state === 'unreachable');
    if (behind.length === 0) {
      if (unreachable.length > 0)
        return { kind: 'wait-for-sinks', sinks: unreachable.map((sink) => sink.name) };
      return {
        kind: 'restart-log',
        from: slotLsn,
        said: `the slot (${formatLsn(slotLsn)}) is past the end of the event log (${formatLsn(log.endLsn)}), and so is every sink`,
      };
    }
    return refuse(
      'E_GAP',
      `The slot has moved to ${formatLsn(slotLsn)}, past the end of the event log at ${formatLsn(log.endLsn)}: ` +
        `${slotLsn - log.endLsn} bytes of WAL are gone for ${list(behind.map((sink) => `sink ${sink.name}`))}.`,
      'Another consumer or an operator advanced the slot, or the log directory is an old copy. Restore the newer log directory, ' +
        'or accept the gap: empty these sinks and the log directory and start anew.',
    );
  }

  if (behind.length > 0) {
    return refuse(
      'E_SINK_BEHIND',
      `The event log is empty and the slot stands at ${formatLsn(slotLsn)}, but ` +
        `${list(behind.map((sink) => `sink ${sink.name} at ${formatLsn(sink.checkpoint.endLsn)}`))}: the changes between are gone.`,
      `Restore the log directory; or leave the sink out (${behind.map((sink) => `--without ${sink.name}`).join(' ')}); or empty the sink and start anew.`,
    );
  }
  return {
    kind: 'restart-log',
    from: slotLsn,
    said:
      positioned.length === 0
        ? `the event log is empty; it begins at the slot's position ${formatLsn(slotLsn)}`
        : `the event log was empty or lost; every sink is at or past the slot (${formatLsn(slotLsn)}), so nothing is missing`,
  };
}

/** Throws E_IDENTITY: asked before sinks are opened, which would each say it in their own words. */
export function requireOwnLog(input: StartInput): void {
  const foreign = foreignIdentity(input);
  if (foreign !== undefined) throw errorOf(foreign);
}

/** Why one sink cannot be served from this log, for it alone; asked when it has told where it stands, which may be late. */
export function refuseSink(input: StartInput): TailraceError | undefined {
  const { facts, log, sinks } = input;
  const holders = positionedOf(sinks).map(({ name, checkpoint }) => ({
    who: `sink ${name}`,
    lsn: checkpoint.endLsn,
  }));
  const refusal = foreignIdentity(input) ?? divergence(facts, log, holders) ?? behindLog(log, sinks);
  return refusal === undefined ? undefined : errorOf(refusal);
}

function behindLog({ startLsn }: LogFacts, sinks: readonly SinkFacts[]): Refusal | undefined {
  const behind = positionedOf(sinks).find(({ checkpoint }) => checkpoint.endLsn < startLsn);
  if (behind === undefined) return undefined;
  return refuse(
    'E_SINK_BEHIND',
    `Sink ${behind.name} is at ${formatLsn(behind.checkpoint.endLsn)}, behind the oldest change the event log holds (it begins after ` +
      `${formatLsn(startLsn)}): the changes between are gone for it.`,
    `Empty the sink and start it anew, or leave it out: --without ${behind.name}.`,
  );
}

function positionedOf(sinks: readonly SinkFacts[]): readonly Extract<SinkFacts, { state: 'positioned' }>[] {
  return sinks.filter((sink) => sink.state === 'positioned');
}

function errorOf({ code, message, fix }: Refusal): TailraceError {
  return new TailraceError({ code, message, fix });
}

type Refusal = Extract<StartDecision, { kind: 'refuse' }>;

function foreignIdentity({ facts, log, sinks, pipeline, slotName }: StartInput): Refusal | undefined {
  const here = databaseIdentity(facts);
  const renamed = renamedIn(log, { pipeline, slot: slotName });
  if (renamed !== undefined) return renamed;
  if (log.identity !== undefined && log.identity.database !== here) {
    return refuse(
      'E_IDENTITY',
      `The event log was written for database ${log.identity.database} (system identifier/oid), this server is ${here}.`,
      'Point source.url at the database this pipeline has been reading, or use another event_log.dir for this one.',
    );
  }
  for (const sink of sinks) {
    if (sink.state !== 'positioned') continue;
    const theirs = identityOf(sink.checkpoint.source);
    if (theirs.database !== here) {
      return refuse(
        'E_IDENTITY',
        `Sink ${sink.name} holds a position of database ${theirs.database} (system identifier/oid), this server is ${here}.`,
        'Point source.url at the database this sink has been fed from, or use another pipeline name or target for this one.',
      );
    }
  }
  const slot = facts.slot;
  if (slot === undefined) return undefined;
  if (slot.plugin !== 'pgoutput' || slot.database !== facts.database) {
    const kind =
      slot.plugin === undefined
        ? 'a physical slot'
        : `a slot of plugin ${slot.plugin} in database ${slot.database}`;
    return refuse(
      'E_IDENTITY',
      `Replication slot "${slotName}" is ${kind}; this pipeline needs one of pgoutput in ${facts.database}.`,
      'Give this pipeline another slot name (source.slot), or drop that slot if nobody needs it.',
    );
  }
  return undefined;
}

/** Positions in sinks are stored under the pipeline's name, and the log is what one slot has sent. An intent without content binds nobody. */
function renamedIn(
  { identity, endLsn }: LogFacts,
  now: { readonly pipeline: string; readonly slot: string },
): Refusal | undefined {
  if (identity === undefined || !(identity.slotCreated || endLsn > 0n)) return undefined;
  const key = (['pipeline', 'slot'] as const).find((each) => identity[each] !== now[each]);
  if (key === undefined) return undefined;
  const option = key === 'slot' ? 'source.slot' : 'pipeline';
  return refuse(
    'E_IDENTITY',
    `The event log was written by ${key} ${identity[key]}; the configuration names ${key} ${now[key]}.`,
    `Set ${option} to ${identity[key]} again, or give the new ${key} an event_log.dir of its own.`,
  );
}

function divergence(
  facts: SourceFacts,
  log: LogFacts,
  holders: readonly { readonly who: string; readonly lsn: Lsn }[],
): Refusal | undefined {
  const known = log.identity?.timeline;
  if (known !== undefined && known !== facts.timeline) {
    const switched = facts.history.find((entry) => entry.timeline === known);
    const past = holders.filter((holder) => switched === undefined || holder.lsn > switched.switchLsn);
    const limit =
      switched === undefined
        ? 'is not in the history of this server'
        : `ended at ${formatLsn(switched.switchLsn)}`;
    if (past.length > 0) {
      return refuse(
        'E_DIVERGED',
        `The server is on timeline ${facts.timeline}; timeline ${known}, which was read before, ${limit}, but ` +
          `${list(past.map((holder) => `${holder.who} is at ${formatLsn(holder.lsn)}`))}: it holds changes that this server lost.`,
        'Decide which side is right. To follow this server, empty the sinks and the log directory and start anew.',
      );
    }
  }
  const past = holders.filter((holder) => holder.lsn > facts.walEnd);
  if (past.length === 0) return undefined;
  return refuse(
    'E_DIVERGED',
    `The server's WAL ends at ${formatLsn(facts.walEnd)}, but ${list(past.map((holder) => `${holder.who} is at ${formatLsn(holder.lsn)}`))}: ` +
      'the server was restored from an older state, or it is another one.',
    'Connect to the right server. To follow this one, empty the sinks and the log directory and start anew.',
  );
}

function invalidationRemedy(reason: string | undefined): string {
  switch (reason) {
    case 'idle_timeout':
      return 'Raise idle_replication_slot_timeout on the server, or keep the pipeline running.';
    case 'wal_level_insufficient':
      return 'Set wal_level = logical on the server.';
    case 'rows_removed':
      return 'Set hot_standby_feedback = on on the standby.';
    default:
      return 'Raise max_slot_wal_keep_size on the server (or lower source.wal_budget below half of it).';
  }
}

function refuse(code: ErrorCode, message: string, fix: string): Refusal {
  return { kind: 'refuse', code, message, fix };
}

function list(parts: readonly string[]): string {
  return parts.length < 2 ? (parts[0] ?? 'nobody') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`;
}
