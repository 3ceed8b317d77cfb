import { Command, Option } from 'commander';
import { VERSION } from '../version.ts';
import { check } from './commands/check.ts';
import { destroy } from './commands/destroy.ts';
import { run } from './commands/run.ts';
import { schema } from './commands/schema.ts';
import { sql } from './commands/sql.ts';
import { status } from './commands/status.ts';
import { tail } from './commands/tail.ts';
import { endOnStrayErrors, report } from './report.ts';

const program = new Command('tailrace')
  .description(
    'Change data capture for PostgreSQL: the write-ahead log into Kafka topics, Elasticsearch indices and more.',
  )
  .version(VERSION)
  .exitOverride()
  .configureOutput({ outputError: (text, write) => write(text) })
  .showHelpAfterError('(--help shows what there is)');

function command(name: string, about: string): Command {
  return program
    .command(name)
    .description(about)
    .addOption(
      new Option('-c, --config <file>', 'configuration file').env('TAILRACE_CONFIG').default('tailrace.yaml'),
    );
}

function collect(value: string, earlier: readonly string[]): readonly string[] {
  return [...earlier, value];
}

command('run', 'run the pipeline until SIGTERM or SIGINT')
  .option('--without <sink>', 'leave a sink out of this run; repeatable', collect, [])
  .action(run);
command(
  'check',
  'connect to everything, change nothing, and say what would stop the pipeline, with the SQL or YAML that mends it',
)
  .option('--json', 'one JSON object per finding')
  .action(check);
command('status', 'show where a running pipeline stands').option('--json', 'as JSON').action(status);
command('tail', 'show events of a running pipeline as they come')
  .option('-t, --table <pattern>', 'only tables that match; repeatable', collect, [])
  .option('--json', 'one JSON object per event, in Debezium format')
  .action(tail);
command('sql', 'print the SQL that gives a role exactly the privileges the pipeline needs')
  .option('--role <name>', 'name of the role; default: the user of source.url')
  .action(sql);
command(
  'destroy',
  'drop the replication slot and the publication: an orphaned slot fills the disk of the server',
)
  .option('--yes', 'do not ask')
  .action(destroy);
program
  .command('schema')
  .description('print the JSON Schema of the configuration file, for editors')
  .action(schema);

// `tailrace schema | head` is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

endOnStrayErrors();
try {
  await program.parseAsync(process.argv);
} catch (thrown) {
  process.exitCode = report(thrown);
}
