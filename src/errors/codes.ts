/**
 * Every error code an operator can meet, with the exit code of a process that ends because of it. The description is the
 * published documentation (docs/errors.md is generated from this table). Codes are stable; messages are not.
 *
 * Exit codes: 0 done, 1 a defect of ours, 2 usage or configuration, 3 the source refuses, 4 a gap or a lost history: an operator decides,
 * 5 a sink refuses, 6 another instance, 7 local disk, 8 stopped before everything was drained.
 */
export const ERROR_CODES = {
  E_INTERNAL: {
    exit: 1,
    about: 'A defect of Tailrace itself. Please report it with the message and the stack trace.',
  },
  E_USAGE: { exit: 2, about: 'The command line is not valid.' },
  E_CONFIG: {
    exit: 2,
    about: 'The configuration file is not valid; each finding names file, line and column.',
  },
  E_CONNECT: { exit: 3, about: 'The database cannot be reached. Retried with back-off.' },
  E_AUTH: { exit: 3, about: 'The database refuses the role or its password. Final after a few tries.' },
  E_TLS: { exit: 3, about: 'The TLS connection to the database cannot be trusted or is not offered.' },
  E_POOLER: {
    exit: 3,
    about: 'The address answers like a connection pooler, which does not carry the replication protocol.',
  },
  E_PRIVILEGE: { exit: 3, about: 'The role lacks a privilege; the message holds the GRANT.' },
  E_WAL_LEVEL: { exit: 3, about: 'The server does not write enough WAL for logical decoding (wal_level).' },
  E_SERVER_VERSION: { exit: 3, about: 'The server is too old for a feature that is asked for.' },
  E_PUBLICATION: {
    exit: 3,
    about: 'The publication is missing or does not publish what the configuration asks for.',
  },
  E_REPLICA_IDENTITY: {
    exit: 3,
    about: 'A table has no replica identity that its mappings need; the message holds the ALTER TABLE.',
  },
  E_TABLE_MISSING: { exit: 3, about: 'A table of the configuration does not exist or cannot be published.' },
  E_SLOT_ACTIVE: { exit: 6, about: 'Another connection holds the replication slot; the message names it.' },
  E_SLOT_FOREIGN: {
    exit: 4,
    about: 'The slot of that name is physical, of another plugin or of another database.',
  },
  E_SLOT_MISSING: {
    exit: 4,
    about: 'The replication slot is gone although a position is known: changes since then may be lost.',
  },
  E_SLOT_LOST: { exit: 4, about: 'The server has invalidated the replication slot: its WAL is gone.' },
  E_IDENTITY: { exit: 4, about: 'The database is not the one this pipeline has been reading.' },
  E_DIVERGED: {
    exit: 4,
    about:
      'A sink or the log holds changes that this server does not have (another timeline or a restored backup).',
  },
  E_GAP: { exit: 4, about: 'The slot has moved past what is held: the changes between are gone.' },
  E_SINK_BEHIND: {
    exit: 4,
    about: 'The event log was lost and a sink is behind the slot: the changes between are gone for it.',
  },
  E_PROTOCOL: {
    exit: 1,
    about: 'The replication stream holds something that cannot be decoded. Nothing after it is read.',
  },
  E_ENCODING: { exit: 3, about: 'A value cannot be read in the client encoding.' },
  E_STREAM: {
    exit: 3,
    about: 'The replication stream ended with a server error. Retried unless the server says it is final.',
  },
  E_LOCKED: { exit: 6, about: 'Another process is working on this event log; the message names it.' },
  E_LOG_CORRUPT: { exit: 7, about: 'The event log is damaged in a place that is not its torn end.' },
  E_LOG_IO: {
    exit: 7,
    about: 'The event log cannot be written or read (disk full, permissions, I/O error).',
  },
  E_LOG_FULL: { exit: 7, about: 'The event log has reached its limit; reading stops until sinks catch up.' },
  E_STATE: { exit: 7, about: 'The state file is unreadable or of another version.' },
  E_SINK_CONFIG: {
    exit: 5,
    about: 'A sink refuses what it is configured to do (missing topic, closed index, missing privilege).',
  },
  E_SINK_UNAVAILABLE: {
    exit: 5,
    about: 'A sink cannot be reached or is overloaded. Retried for ever, with back-off.',
  },
  E_SINK_FOREIGN: { exit: 5, about: 'The target holds data or positions of another pipeline or source.' },
  E_FOREIGN_VERSION: {
    exit: 5,
    about: 'A document carries a version that this pipeline cannot have written.',
  },
  E_FENCED: { exit: 6, about: 'Another instance has taken over this sink.' },
  E_POISON: { exit: 5, about: 'A sink refuses one event for good; it is in the dead-letter log.' },
  E_UNSUPPORTED_ROW: { exit: 5, about: 'An event cannot be expressed in the sink without losing data.' },
  E_DRAIN: {
    exit: 8,
    about: 'Stopped before every sink had confirmed everything; nothing is lost, it goes on from there.',
  },
} as const satisfies Record<string, { exit: number; about: string }>;

export type ErrorCode = keyof typeof ERROR_CODES;
