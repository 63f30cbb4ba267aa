/** The first minutes: without the program, with one that does not fit, and without a profile. */

import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { Authority } from "./authority.ts";
import { Editor, given, Home, Started, until, type Window } from "./editor.ts";

/** A keychain of its own, which is unlocked. */
const KEYCHAIN = [
  "dbus-run-session",
  "--",
  "sh",
  "-c",
  'printf pass | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1; exec "$@"',
  "sh",
];

const started = new Started();
let authority: Authority;
let home: Home;
let window: Window;

function usePath(file: string): Promise<unknown> {
  return window.run(`await vscode.workspace.getConfiguration("hallpass").update("path", ${JSON.stringify(file)}, true)`);
}

async function statusBarHas(text: string): Promise<void> {
  await until(text, async () => (await window.statusBar.innerText()).includes(text));
}

// In a suite: its hooks run only if one of its tests does.
describe("the first minutes", () => {
  before(async () => {
    authority = started.add(await Authority.start());
    home = new Home(path.join(given("WORK"), "first"), false, KEYCHAIN);
    const settings = { "terminal.integrated.gpuAcceleration": "off" };
    const editor = started.add(await Editor.start(home, settings, {}, ["--disable-workspace-trust"]));
    window = await editor.open(home.folder("project"));
  });

  after(() => started.stop());

  test("without the program, it says so and shows how to install it", async () => {
    await statusBarHas("hallpass: not found");
    await window.page.locator('.activitybar [aria-label="hallpass"]').first().click();
    await window.page.getByText("The hallpass program was not found.").waitFor();
    await window.statusBar.click();
    await window.notifications.getByText("the hallpass program was not found").waitFor();
    await window.notifications.getByText("How to Install", { exact: true }).click();
    await window.page.locator(".tab").filter({ hasText: "Preview README.md" }).waitFor();
    await window.command("workbench.action.closeAllEditors");
  });

  test("a path that is no program, and a program that does not fit, are named", async () => {
    await usePath("relative/hallpass");
    await until("the reason", async () => (await window.failure(`return vscode.commands.executeCommand("hallpass.token")`)).includes("hallpass.path is not"));
    const old = path.join(home.root, "old-hallpass");
    writeFileSync(old, `#!/bin/sh\necho '{"version":2,"profiles":[]}'\n`);
    chmodSync(old, 0o755);
    await usePath(old);
    await statusBarHas("hallpass: update it");
    await window.page.getByText("its version does not fit").waitFor();
  });

  test("the welcome view starts the dialogue of hallpass login, and then there is a profile", async () => {
    await usePath(given("HALLPASS"));
    await statusBarHas("hallpass: log in");
    const button = window.page.locator(".welcome-view a").filter({ hasText: "Log In" });
    await button.waitFor();
    await window.command("notifications.clearAll");
    if (process.env["SCREENSHOTS"] === "1") {
      const file = path.join(import.meta.dirname, "../../media/welcome.png");
      await window.page.screenshot({ path: file, clip: { x: 48, y: 36, width: 300, height: 250 } });
    }
    await button.click();
    const answers = [
      ["Number or name:", "another server"],
      ["Issuer or token URL:", `${authority.origin}/token`],
      ["Client ID:", "client-one"],
      ["Audience", ""],
      ["Scope", ""],
      ["Profile name", "first"],
      ["Client secret:", authority.secret],
    ] as const;
    for (const [question, answer] of answers) {
      await until(question, async () => (await window.terminal()).includes(question));
      await window.run(`vscode.window.activeTerminal.sendText(${JSON.stringify(answer)})`);
    }
    await statusBarHas("first");
    await window.notifications.getByText("hallpass: logged in: profile first").waitFor();
    const token = await window.command<string>("hallpass.token");
    assert.equal(authority.issued.find((issued) => issued.token === token)?.client, "client-one");
  });
});
