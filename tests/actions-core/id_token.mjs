// Requests the identity token of a job of GitHub Actions as actions do it, and prints it as the last line.
import { getIDToken } from '@actions/core';

console.log(await getIDToken(process.argv[2]));
