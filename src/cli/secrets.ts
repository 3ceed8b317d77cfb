import { secretMask } from '../observe/mask-secrets.ts';

let mask = secretMask();

/** From here on nothing that this process prints as a message shows them. */
export function keepSecret(secrets: Iterable<string>): void {
  mask = secretMask(secrets);
}

export function masked(text: string): string {
  return mask(text);
}
