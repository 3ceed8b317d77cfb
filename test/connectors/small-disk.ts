import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, unlinkSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A file system of a few hundred kilobytes. Only root may mount one: `SmallDisk.possible`. */
export class SmallDisk implements Disposable {
  readonly dir: string;
  readonly #ballast: string;

  constructor(kibibytes: number) {
    this.dir = mkdtempSync(join(tmpdir(), 'tailrace-disk-'));
    this.#ballast = join(this.dir, '.ballast');
    const { status, stderr } = mount(this.dir, kibibytes);
    if (status !== 0) throw new Error(`mount: ${String(stderr)}`);
  }

  static get possible(): boolean {
    if (process.platform !== 'linux' || process.getuid?.() !== 0) return false;
    const dir = mkdtempSync(join(tmpdir(), 'tailrace-disk-'));
    const mounted = mount(dir, 16).status === 0;
    if (mounted) unmount(dir);
    rmSync(dir, { recursive: true });
    return mounted;
  }

  /** Takes all the space there is. */
  fill(): void {
    const file = openSync(this.#ballast, 'a');
    const block = Buffer.alloc(4096);
    try {
      for (;;) writeSync(file, block);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    } finally {
      closeSync(file);
    }
  }

  free(): void {
    unlinkSync(this.#ballast);
  }

  [Symbol.dispose](): void {
    unmount(this.dir);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

function mount(dir: string, kibibytes: number) {
  return spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${kibibytes}k`, 'tmpfs', dir]);
}

function unmount(dir: string): void {
  spawnSync('umount', ['--lazy', dir]);
}
