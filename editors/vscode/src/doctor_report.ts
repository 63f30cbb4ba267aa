/** The findings of `hallpass doctor`, as lines for the output channel. */

import type { Check, Doctor } from "./contract.ts";

const MARKS: Readonly<Record<Check["status"], string>> = { ok: "ok  ", failed: "FAIL", skipped: "-   " };

export function reportOf({ ok, checks }: Doctor): string[] {
  const lines: string[] = [];
  let profile: string | null | undefined;
  for (const check of checks) {
    if (check.profile !== profile) {
      if (lines.length > 0) lines.push("");
      profile = check.profile;
      lines.push(profile === null ? "this machine" : `profile ${profile}`);
    }
    lines.push(`  ${MARKS[check.status]}  ${check.message}`);
    for (const fix of check.fixes) lines.push(`          fix: ${fix}`);
  }
  lines.push("", ok ? "no check failed" : "some checks failed");
  return lines;
}
