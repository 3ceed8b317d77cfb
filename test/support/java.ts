import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

export interface Java {
  readonly home: string;
  readonly major: number;
}

/** The oldest installed Java that suffices: the nearest to what the servers were released for. */
export function findJava(minimum: number): Java | undefined {
  const found = new Map<string, Java>();
  for (const candidate of candidates()) {
    if (!existsSync(join(candidate, 'bin', 'java'))) continue;
    const home = realpathSync(candidate);
    const major = majorVersion(home);
    if (major !== undefined && major >= minimum) found.set(home, { home, major });
  }
  return [...found.values()].sort((a, b) => a.major - b.major)[0];
}

/** Options meant for the developer's own programs would also print a line into every output. */
export function javaEnvironment(): NodeJS.ProcessEnv {
  const { JAVA_TOOL_OPTIONS: _, _JAVA_OPTIONS: __, JDK_JAVA_OPTIONS: ___, ...rest } = process.env;
  return rest;
}

function candidates(): readonly string[] {
  const inDirectory = (directory: string, suffix = ''): readonly string[] =>
    existsSync(directory) ? readdirSync(directory).map((name) => join(directory, name, suffix)) : [];
  const onPath = (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((directory) => join(directory, 'java'))
    .filter((java) => existsSync(java))
    .map((java) => dirname(dirname(realpathSync(java))));
  return [
    ...(process.env['JAVA_HOME'] ? [process.env['JAVA_HOME']] : []),
    ...inDirectory('/usr/lib/jvm'),
    ...inDirectory('/Library/Java/JavaVirtualMachines', 'Contents/Home'),
    ...onPath,
  ];
}

function majorVersion(home: string): number | undefined {
  const release = join(home, 'release');
  const text = existsSync(release)
    ? readFileSync(release, 'utf8')
    : spawnSync(join(home, 'bin', 'java'), ['-version'], { encoding: 'utf8' }).stderr;
  // JAVA_VERSION="25.0.3" in the release file, `openjdk version "25.0.3"` on stderr; 1.8 for Java 8.
  const version = /(?:JAVA_VERSION=|version )"(?:1\.)?(\d+)/.exec(text)?.[1];
  return version === undefined ? undefined : Number(version);
}
