/** Copies a token, and removes it from the clipboard after a minute if it is still there. */

import { createHash, timingSafeEqual } from "node:crypto";

export interface Clipboard {
  readText(): PromiseLike<string>;
  writeText(text: string): PromiseLike<void>;
}

export const CLEAR_AFTER = 60_000;
/** A browser gives the clipboard only to a page that has the focus. */
const TRY_AGAIN_AFTER = 10_000;
const TRIES = 30;

export class SecretClipboard {
  private readonly clipboard: Clipboard;
  private copied: { readonly digest: Buffer; readonly timer: NodeJS.Timeout } | undefined;

  constructor(clipboard: Clipboard) {
    this.clipboard = clipboard;
  }

  async copy(secret: string): Promise<void> {
    await this.clipboard.writeText(secret);
    this.cancel();
    // The secret itself is not kept for this.
    this.later(digestOf(secret), CLEAR_AFTER, TRIES);
  }

  /** When the editor ends: the timer would not run any more. */
  async clear(): Promise<void> {
    const copied = this.copied;
    this.cancel();
    if (copied !== undefined) await this.clearIf(copied.digest);
  }

  private later(digest: Buffer, delay: number, tries: number): void {
    const timer = setTimeout(() => {
      this.copied = undefined;
      this.clearIf(digest).catch(() => {
        if (tries > 1 && this.copied === undefined) this.later(digest, TRY_AGAIN_AFTER, tries - 1);
      });
    }, delay);
    this.copied = { digest, timer };
  }

  /** Keeps what the user has copied since then. */
  private async clearIf(digest: Buffer): Promise<void> {
    const text = await this.clipboard.readText();
    if (timingSafeEqual(digestOf(text), digest)) await this.clipboard.writeText("");
  }

  private cancel(): void {
    clearTimeout(this.copied?.timer);
    this.copied = undefined;
  }
}

function digestOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
