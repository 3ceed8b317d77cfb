import type { TargetSessionAttrs } from '../config.ts';

/**
 * Why a session will not do, or undefined. Both parameters are reported by the server after start-up (version 14 and later).
 * https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-TARGET-SESSION-ATTRS
 */
export function sessionMismatch(
  parameters: ReadonlyMap<string, string>,
  wanted: TargetSessionAttrs,
): string | undefined {
  const standby = parameters.get('in_hot_standby') === 'on';
  const readOnly = standby || parameters.get('default_transaction_read_only') === 'on';
  switch (wanted) {
    case 'any':
      return undefined;
    case 'primary':
      return standby ? 'it is a standby' : undefined;
    case 'standby':
    case 'prefer-standby':
      return standby ? undefined : 'it is no standby';
    case 'read-write':
      return readOnly ? 'its sessions are read-only' : undefined;
    case 'read-only':
      return readOnly ? undefined : 'its sessions are read-write';
  }
}
