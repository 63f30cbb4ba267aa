/** The name of a profile, by the rule of hallpass itself. */

/** At most 64 characters from a-z, 0-9, ".", "_" and "-", starting with a letter or digit. */
const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;

/** How hallpass names the profile that the environment describes. It cannot be given as an argument. */
export const ENVIRONMENT_PROFILE = "_environment";

/** Whether hallpass takes this as the name of a profile. An option, such as `--refresh`, is none. */
export function isProfileName(text: unknown): text is string {
  // `hallpass token inspect` is another command.
  return typeof text === "string" && NAME.test(text) && text !== "inspect";
}
