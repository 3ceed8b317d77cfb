#!/usr/bin/env node
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
  process.stderr.write(`Tailrace needs Node.js 22.18 or newer, this is ${process.version}.\n`);
  process.exit(2);
}

// Halves the time a command takes to start. https://nodejs.org/api/module.html#module-compile-cache
const { enableCompileCache } = await import('node:module');
enableCompileCache();
await import('./program.ts');
