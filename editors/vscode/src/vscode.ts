/**
 * The editor's API, for all other modules. esbuild copies the members of the API in each module that imports it, which
 * takes a millisecond each time, so only this one does.
 */

export * as vscode from "vscode";
