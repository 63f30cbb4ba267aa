/** Sessions for other extensions: `vscode.authentication.getSession("hallpass", [PROFILE])`. */

import { vscode } from "./vscode.ts";
import type { AccessToken } from "./contract.ts";
import { HallpassError } from "./hallpass.ts";
import { trustedHallpass, UserError, type Model } from "./model.ts";
import { isProfileName } from "./profile_name.ts";

export const PROVIDER = "hallpass";
/** The names of the profiles that the user allowed; never a token. */
const ALLOWED = "hallpass.allowedProfiles";
/** hallpass renews a token about this long before its end. */
const EARLY = 60_000;
const MAX_DELAY = 24 * 60 * 60 * 1000;

type Changes = vscode.AuthenticationProviderAuthenticationSessionsChangeEvent;

export class Authentication implements vscode.AuthenticationProvider, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<Changes>();
  readonly onDidChangeSessions = this.changed.event;
  private readonly model: Model;
  private readonly memory: vscode.Memento;
  private readonly renewals = new Map<string, NodeJS.Timeout>();
  private readonly registration: vscode.Disposable;

  constructor(model: Model, memory: vscode.Memento) {
    this.model = model;
    this.memory = memory;
    this.registration = vscode.authentication.registerAuthenticationProvider(PROVIDER, "hallpass", this, {
      supportsMultipleAccounts: true,
    });
  }

  /**
   * Only for profiles that the user allowed once. Each session has a token that is valid now. The editor itself asks
   * without scopes, to list the accounts; then profiles for which there is no token are left out.
   */
  async getSessions(
    scopes: readonly string[] | undefined,
    options: vscode.AuthenticationProviderSessionOptions,
  ): Promise<vscode.AuthenticationSession[]> {
    if (!vscode.workspace.isTrusted) return [];
    const allowed = this.allowed().filter((name) => options.account === undefined || options.account.id === name);
    if (scopes === undefined) {
      const sessions = await Promise.allSettled(allowed.map(async (name) => sessionOf(name, await tokenOf(name))));
      return sessions.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    }
    const name = await this.profileIn(scopes);
    if (!allowed.includes(name)) return [];
    const token = await tokenOf(name);
    const session = sessionOf(name, token, scopes);
    this.announceRenewal(session, token);
    return [session];
  }

  /** The editor asked the user before it calls this. */
  async createSession(scopes: readonly string[]): Promise<vscode.AuthenticationSession> {
    const name = await this.profileIn(scopes);
    const token = await tokenOf(name);
    const session = sessionOf(name, token, scopes);
    await this.memory.update(ALLOWED, [...new Set([...this.allowed(), name])]);
    this.changed.fire({ added: [session], removed: [], changed: [] });
    this.announceRenewal(session, token);
    void this.model.refresh();
    return session;
  }

  /** The profile stays: this only means that extensions must ask again. */
  async removeSession(id: string): Promise<void> {
    const name = id.replace(/^hallpass:/, "");
    clearTimeout(this.renewals.get(name));
    this.renewals.delete(name);
    await this.memory.update(
      ALLOWED,
      this.allowed().filter((other) => other !== name),
    );
    const removed = { id, accessToken: "", account: { id: name, label: name }, scopes: [name] };
    this.changed.fire({ added: [], removed: [removed], changed: [] });
  }

  private allowed(): string[] {
    const names = this.memory.get<unknown>(ALLOWED);
    return Array.isArray(names) ? names.filter(isProfileName) : [];
  }

  /** The scope is the name of a profile; without one, the profile of this window. */
  private async profileIn(scopes: readonly string[]): Promise<string> {
    if (this.model.state.kind !== "ready") await this.model.refresh();
    const [scope, ...others] = scopes;
    if (others.length > 0) throw new UserError("the only scope that hallpass takes is the name of a profile");
    const name = scope ?? this.model.selected?.name;
    if (name === undefined) throw new UserError("no profile is selected in this workspace");
    if (!isProfileName(name)) throw new UserError("the scope is not the name of a profile");
    return name;
  }

  /** When the token that an extension has will not last much longer, tells it to get the session again. */
  private announceRenewal(session: vscode.AuthenticationSession, token: AccessToken): void {
    const { id: name } = session.account;
    clearTimeout(this.renewals.get(name));
    const lifetime = token.expiresAt - Date.now();
    const delay = Math.min(Math.max(lifetime - EARLY, lifetime * 0.75, 1000), MAX_DELAY);
    const renew = async (): Promise<void> => {
      this.renewals.delete(name);
      const renewed = { ...session, accessToken: (await tokenOf(name)).accessToken };
      this.changed.fire({ added: [], removed: [], changed: [renewed] });
    };
    // If it fails, the next call of the extension says why.
    const timer = setTimeout(() => void renew().catch(() => undefined), delay);
    this.renewals.set(name, timer);
  }

  dispose(): void {
    for (const timer of this.renewals.values()) clearTimeout(timer);
    vscode.Disposable.from(this.registration, this.changed).dispose();
  }
}

async function tokenOf(name: string): Promise<AccessToken> {
  try {
    return await trustedHallpass().token(name);
  } catch (error) {
    // What an extension shows to the user.
    if (error instanceof HallpassError) throw new UserError(`hallpass: ${error.message}`);
    throw error;
  }
}

function sessionOf(name: string, token: AccessToken, scopes: readonly string[] = [name]): vscode.AuthenticationSession {
  return {
    id: `hallpass:${name}`,
    accessToken: token.accessToken,
    account: { id: name, label: name },
    scopes: [...scopes],
  };
}
