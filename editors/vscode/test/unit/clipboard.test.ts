import assert from "node:assert/strict";
import { mock, test, type TestContext } from "node:test";
import { SecretClipboard } from "../../src/clipboard.ts";

class Memory {
  text = "";
  isClosed = false;

  readText(): Promise<string> {
    return this.isClosed ? Promise.reject(new Error("no focus")) : Promise.resolve(this.text);
  }

  writeText(text: string): Promise<void> {
    this.text = text;
    return Promise.resolve();
  }
}

function start(context: TestContext): { memory: Memory; clipboard: SecretClipboard; wait: (ms: number) => Promise<void> } {
  mock.timers.enable({ apis: ["setTimeout"] });
  context.after(() => {
    mock.timers.reset();
  });
  const memory = new Memory();
  const wait = async (milliseconds: number): Promise<void> => {
    mock.timers.tick(milliseconds);
    await new Promise(setImmediate);
  };
  return { memory, clipboard: new SecretClipboard(memory), wait };
}

test("a token is removed after a minute", async (context) => {
  const { memory, clipboard, wait } = start(context);
  await clipboard.copy("token");
  await wait(59_999);
  assert.equal(memory.text, "token");
  await wait(1);
  assert.equal(memory.text, "");
});

test("what was copied since then stays", async (context) => {
  const { memory, clipboard, wait } = start(context);
  await clipboard.copy("token");
  memory.text = "something else";
  await wait(60_000);
  assert.equal(memory.text, "something else");
});

test("a later token has its own minute", async (context) => {
  const { memory, clipboard, wait } = start(context);
  await clipboard.copy("one");
  await wait(30_000);
  await clipboard.copy("two");
  await wait(59_999);
  assert.equal(memory.text, "two");
  await wait(1);
  assert.equal(memory.text, "");
});

test("a clipboard that cannot be read is tried again", async (context) => {
  const { memory, clipboard, wait } = start(context);
  await clipboard.copy("token");
  memory.isClosed = true;
  await wait(60_000);
  memory.isClosed = false;
  assert.equal(memory.text, "token");
  await wait(10_000);
  assert.equal(memory.text, "");
});

test("a token is removed when the editor ends", async (context) => {
  const { memory, clipboard } = start(context);
  await clipboard.copy("token");
  await clipboard.clear();
  assert.equal(memory.text, "");
  memory.text = "mine";
  await clipboard.clear();
  assert.equal(memory.text, "mine");
});
