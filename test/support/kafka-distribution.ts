import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findJava } from './java.ts';
import { ServerUnavailableError } from './servers.ts';
import { cached, maven } from './service-cache.ts';

export const kafkaVersion = '4.3.1';
const minimumJava = 17;

export interface JavaServer {
  readonly java: string;
  /** Directory of the server's files. */
  readonly home: string;
}

/** Apache's own jars from Maven Central (44 MB), fetched once. */
export async function kafkaDistribution(): Promise<JavaServer> {
  const java = findJava(minimumJava);
  if (java === undefined) {
    throw new ServerUnavailableError(
      `Kafka ${kafkaVersion} needs Java ${minimumJava} or newer, and there is none`,
      'install a JDK (Debian: apt-get install default-jdk-headless maven), start Docker, or set TAILRACE_TEST_KAFKA_BROKERS',
    );
  }
  const home = await cached(`kafka-${kafkaVersion}`, async (into) => {
    const work = join(into, 'work');
    await mkdir(work);
    await writeFile(join(work, 'pom.xml'), pom);
    await maven(
      [
        '-f',
        join(work, 'pom.xml'),
        'dependency:copy-dependencies',
        '-DincludeScope=runtime',
        `-DoutputDirectory=${join(work, 'libs')}`,
      ],
      join(work, 'mvn.log'),
    );
    await rename(join(work, 'libs'), join(into, 'libs'));
  });
  return { java: join(java.home, 'bin', 'java'), home };
}

// Kafka's graph has slf4j-api 1.7 and no binding for it: without one nothing is logged.
const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tailrace.test</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>${kafkaVersion}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
`;
