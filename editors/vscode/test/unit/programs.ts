/** Programs for the tests, in directories that end with them. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { TestContext } from "node:test";

export function directory(context: TestContext): string {
  const created = mkdtempSync(path.join(tmpdir(), "hallpass vscode-"));
  context.after(() => {
    rmSync(created, { recursive: true });
  });
  return created;
}

/** A program for node, in the place of hallpass. */
export function program(context: TestContext, source: string): string {
  const file = path.join(directory(context), "hallpass");
  writeFileSync(file, `#!${process.execPath}\n${source}`, { mode: 0o755 });
  return file;
}
