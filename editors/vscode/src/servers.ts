/** The addresses of `hallpass serve`, in the environment of this process until they end. */

import { variableOf } from "./bindings.ts";
import type { Hallpass, Server } from "./hallpass.ts";

/** With the reason, unless `stop` ended it. */
export type Ended = (url: string, reason: string | undefined) => void;

/**
 * REST Client and httpYac read `{{$processEnv NAME}}` from the environment of the process that they share with this
 * extension. So no address is in a file or a setting, and each ends with the editor.
 */
export class Servers {
  private readonly running = new Map<string, Promise<Server>>();
  private readonly env: NodeJS.ProcessEnv;
  private readonly ended: Ended;

  constructor(env: NodeJS.ProcessEnv, ended: Ended) {
    this.env = env;
    this.ended = ended;
  }

  isRunning(url: string): boolean {
    return this.running.has(url);
  }

  /** Starts one for this bound URL if there is none, and returns the variable that has its address. */
  async start(hallpass: Hallpass, profile: string, url: string): Promise<string> {
    const variable = variableOf(url);
    const running = this.running.get(url);
    if (running !== undefined) {
      await running;
      return variable;
    }
    const starting = hallpass.serve(profile, url);
    this.running.set(url, starting);
    try {
      const server = await starting;
      this.env[variable] = server.address;
      void server.ended.then((reason) => {
        this.forget(url, starting);
        this.ended(url, reason);
      });
      return variable;
    } catch (error) {
      this.forget(url, starting);
      throw error;
    }
  }

  async stop(url: string): Promise<void> {
    const running = this.running.get(url);
    if (running === undefined) return;
    const server = await running;
    server.stop();
    await server.ended;
  }

  stopAll(): void {
    for (const url of this.running.keys()) void this.stop(url).catch(() => undefined);
  }

  private forget(url: string, server: Promise<Server>): void {
    if (this.running.get(url) !== server) return;
    this.running.delete(url);
    // eslint-disable-next-line @typescript-eslint/no-dynamic-delete -- a variable of the environment
    delete this.env[variableOf(url)];
  }
}
