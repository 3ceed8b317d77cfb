import type { FileSystem, LogFile } from '../../src/event-log/file-system.ts';

/** Numbers in [0, 1) for everything the disk leaves to chance. */
export type Random = () => number;

const SECTOR_BYTES = 64;

interface Inode {
  /** What programs see. */
  content: Buffer;
  /** What survives a power cut. */
  durable: Buffer;
  /** Sectors that differ, and are still going to be written. */
  readonly dirty: Set<number>;
}

type DirectoryChange =
  | { readonly kind: 'add'; readonly path: string; readonly inode: Inode }
  | { readonly kind: 'remove'; readonly path: string };

export interface Faults {
  /** Throws an errno when the write, of so many bytes, must fail. */
  onWrite?: ((path: string, bytes: number) => void) | undefined;
  onSync?: ((path: string) => void) | undefined;
  onRead?: ((path: string) => void) | undefined;
}

/**
 * A disk in memory that can lose power: of what was not synced, each sector survives or not, as chance has it; changes of the directory
 * survive up to some point. A failed sync forgets what it should have written, as Linux does, although programs still see it.
 */
export class SimulatedDisk implements FileSystem {
  readonly faults: Faults = {};
  readonly #random: Random;
  #entries = new Map<string, Inode>();
  #durableEntries = new Map<string, Inode>();
  #changes: DirectoryChange[] = [];
  #dead = false;

  constructor(random: Random = () => 0.5) {
    this.#random = random;
  }

  /** The process is gone: everything it still tries fails. What the disk holds afterwards is a new disk. */
  kill(): SimulatedDisk {
    this.#dead = true;
    return this.#successor(this.#entries, (inode) => inode);
  }

  /** Like `kill`, and what was only in memory is gone by chance. */
  cutPower(): SimulatedDisk {
    this.#dead = true;
    const survived = new Map(this.#durableEntries);
    for (const change of this.#changes.slice(0, Math.floor(this.#random() * (this.#changes.length + 1)))) {
      if (change.kind === 'add') survived.set(change.path, change.inode);
      else survived.delete(change.path);
    }
    return this.#successor(survived, (inode) => {
      const content = this.#afterPowerCut(inode);
      return { content, durable: Buffer.from(content), dirty: new Set() };
    });
  }

  /** An independent copy, all of it durable. */
  clone(): SimulatedDisk {
    return this.#successor(this.#entries, ({ content }) => ({
      content: Buffer.from(content),
      durable: Buffer.from(content),
      dirty: new Set(),
    }));
  }

  #successor(entries: Map<string, Inode>, keep: (inode: Inode) => Inode): SimulatedDisk {
    const disk = new SimulatedDisk(this.#random);
    disk.#entries = new Map([...entries].map(([path, inode]) => [path, keep(inode)]));
    disk.#durableEntries = new Map(disk.#entries);
    return disk;
  }

  #afterPowerCut({ content, durable, dirty }: Inode): Buffer {
    let length = durable.length;
    for (const sector of dirty) {
      if (this.#random() < 0.5)
        length = Math.max(length, Math.min(content.length, (sector + 1) * SECTOR_BYTES));
    }
    const survived = Buffer.alloc(length);
    durable.copy(survived);
    for (const sector of dirty) {
      if (this.#random() < 0.5)
        content.copy(
          survived,
          sector * SECTOR_BYTES,
          sector * SECTOR_BYTES,
          Math.min((sector + 1) * SECTOR_BYTES, length),
        );
    }
    return survived;
  }

  /** Names of the files there are. */
  get paths(): readonly string[] {
    return [...this.#entries.keys()].sort();
  }

  bytesOf(path: string): Buffer {
    return Buffer.from(this.#inode(path).content);
  }

  /** Puts other content under a name, as damage or an operator would. */
  replace(path: string, content: Buffer): void {
    this.#entries.set(path, { content, durable: Buffer.from(content), dirty: new Set() });
    this.#durableEntries = new Map(this.#entries);
  }

  remove(path: string): void {
    this.#entries.delete(path);
    this.#durableEntries.delete(path);
  }

  async open(path: string, mode: 'read' | 'write' | 'create'): Promise<LogFile> {
    await this.#step();
    if (mode === 'create') {
      this.faults.onWrite?.(path, 0);
      const inode: Inode = { content: Buffer.alloc(0), durable: Buffer.alloc(0), dirty: new Set() };
      this.#change({ kind: 'add', path, inode });
    }
    return new SimulatedFile(this, path, this.#inode(path), this.#random);
  }

  async readdir(dir: string): Promise<readonly string[]> {
    await this.#step();
    return this.paths.filter((path) => path.startsWith(`${dir}/`)).map((path) => path.slice(dir.length + 1));
  }

  async stat(path: string): Promise<{ readonly size: number } | undefined> {
    await this.#step();
    const inode = this.#entries.get(path);
    return inode === undefined ? undefined : { size: inode.content.length };
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#step();
    const inode = this.#inode(from);
    this.#change({ kind: 'add', path: to, inode });
    this.#change({ kind: 'remove', path: from });
  }

  async unlink(path: string): Promise<void> {
    await this.#step();
    this.#inode(path);
    this.#change({ kind: 'remove', path });
  }

  async fsyncDir(dir: string): Promise<void> {
    await this.#step();
    this.faults.onSync?.(dir);
    this.#durableEntries = new Map(this.#entries);
    this.#changes = [];
  }

  /** Lets other work come between, as a thread pool would, and ends a dead process's calls. */
  async #step(): Promise<void> {
    if (this.#random() < 0.5) await new Promise(setImmediate);
    this.assertAlive();
  }

  assertAlive(): void {
    if (this.#dead) throw errno('EIO');
  }

  step(): Promise<void> {
    return this.#step();
  }

  #change(change: DirectoryChange): void {
    this.#changes.push(change);
    if (change.kind === 'add') this.#entries.set(change.path, change.inode);
    else this.#entries.delete(change.path);
  }

  #inode(path: string): Inode {
    const inode = this.#entries.get(path);
    if (inode === undefined) throw errno('ENOENT');
    return inode;
  }
}

class SimulatedFile implements LogFile {
  readonly #disk: SimulatedDisk;
  readonly #path: string;
  readonly #inode: Inode;
  readonly #random: Random;

  constructor(disk: SimulatedDisk, path: string, inode: Inode, random: Random) {
    this.#disk = disk;
    this.#path = path;
    this.#inode = inode;
    this.#random = random;
  }

  async writev(buffers: readonly Uint8Array[], position: number): Promise<number> {
    const bytes = Buffer.concat(buffers.map((buffer) => Buffer.from(buffer)));
    // The kernel takes the bytes at some time during the call, and perhaps not all of them.
    const taken = bytes.subarray(
      0,
      this.#random() < 0.3 ? Math.ceil(bytes.length * this.#random()) : bytes.length,
    );
    await this.#disk.step();
    this.#disk.faults.onWrite?.(this.#path, taken.length);
    const { content } = this.#inode;
    if (position + taken.length > content.length) {
      this.#inode.content = Buffer.alloc(position + taken.length);
      content.copy(this.#inode.content);
    }
    taken.copy(this.#inode.content, position);
    for (let s = Math.floor(position / SECTOR_BYTES); s * SECTOR_BYTES < position + taken.length; s++)
      this.#inode.dirty.add(s);
    return taken.length;
  }

  async read(into: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    await this.#disk.step();
    this.#disk.faults.onRead?.(this.#path);
    return this.#inode.content.copy(into, offset, position, position + length);
  }

  async datasync(): Promise<void> {
    const { dirty, content } = this.#inode;
    const synced = new Set(dirty);
    const length = content.length;
    await this.#disk.step();
    try {
      this.#disk.faults.onSync?.(this.#path);
    } catch (error) {
      for (const sector of synced) dirty.delete(sector);
      throw error;
    }
    if (this.#inode.durable.length < length) {
      const grown = Buffer.alloc(length);
      this.#inode.durable.copy(grown);
      this.#inode.durable = grown;
    }
    for (const sector of synced) {
      this.#inode.content.copy(
        this.#inode.durable,
        sector * SECTOR_BYTES,
        sector * SECTOR_BYTES,
        (sector + 1) * SECTOR_BYTES,
      );
      dirty.delete(sector);
    }
  }

  async truncate(length: number): Promise<void> {
    await this.#disk.step();
    // Simpler than real disks: durable at once.
    this.#inode.content = Buffer.from(this.#inode.content.subarray(0, length));
    this.#inode.durable = Buffer.from(this.#inode.durable.subarray(0, length));
    for (const sector of this.#inode.dirty)
      if (sector * SECTOR_BYTES >= length) this.#inode.dirty.delete(sector);
  }

  async close(): Promise<void> {
    await this.#disk.step();
  }
}

export function errno(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: simulated`), { code });
}
