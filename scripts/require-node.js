// npm scripts run the Node that is a devDependency; a shell that bypasses npm may run an older one.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
  process.stderr.write(
    `Tailrace needs Node 22.18 or newer, this is ${process.version}. Run "npm ci", then use npm scripts.\n`,
  );
  process.exit(1);
}
