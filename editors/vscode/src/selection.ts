/** Which profile this window uses. */

import type { Status } from "./contract.ts";
import { isProfileName } from "./profile_name.ts";

export interface Choice {
  /** The setting `hallpass.profile`, which a workspace can set; empty for none. */
  readonly setting: unknown;
  /** HALLPASS_PROFILE of the environment in which the editor was started. */
  readonly variable: string | undefined;
}

export type Selection =
  | { readonly kind: "profile"; readonly name: string; readonly by: "setting" | "environment" | "hallpass" }
  /** Several profiles, and nothing that selects one. */
  | { readonly kind: "none" }
  /** Something selects what cannot be used. */
  | { readonly kind: "invalid"; readonly reason: string };

/** The setting, else the environment, else what `hallpass token` itself would use. */
export function select(choice: Choice, status: Status): Selection {
  const names = new Set(status.profiles.map((profile) => profile.name));
  const given = [
    { value: choice.setting, by: "setting", where: "the setting hallpass.profile" },
    { value: choice.variable, by: "environment", where: "HALLPASS_PROFILE" },
  ] as const;
  for (const { value, by, where } of given) {
    if (value === undefined || value === "") continue;
    // The text is not repeated: a workspace wrote it.
    if (!isProfileName(value)) return { kind: "invalid", reason: `${where} is not the name of a profile` };
    if (!names.has(value)) return { kind: "invalid", reason: `no profile named ${value} (${where})` };
    return { kind: "profile", name: value, by };
  }
  const own = status.selected ?? status.profiles.find((profile) => profile.isDefault)?.name ?? only(status);
  return own === undefined ? { kind: "none" } : { kind: "profile", name: own, by: "hallpass" };
}

function only({ profiles, unusable }: Status): string | undefined {
  return profiles.length === 1 && unusable.length === 0 ? profiles[0]?.name : undefined;
}
