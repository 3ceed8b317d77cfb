/**
 * Encoding-specific methods that Node's Buffer has and its type definitions leave out. They skip the encoding look-up of
 * `toString` and `write`, which counts in code that runs once per column.
 */
declare global {
  interface Buffer<TArrayBuffer extends ArrayBufferLike = ArrayBufferLike> extends Uint8Array<TArrayBuffer> {
    latin1Slice(start: number, end: number): string;
    utf8Slice(start: number, end: number): string;
    latin1Write(text: string, offset: number): number;
    utf8Write(text: string, offset: number): number;
  }
}

export {};
