// The tests' own extension, in the same process as hallpass: it runs what a test sends, as an extension of its own.
const http = require("node:http");
const vscode = require("vscode");

const Body = Object.getPrototypeOf(async () => undefined).constructor;

exports.activate = () => {
  const server = http.createServer((request, response) => {
    let source = "";
    request.setEncoding("utf8").on("data", (text) => (source += text));
    request.on("end", () => {
      new Body("vscode", "require", source)(vscode, require).then(
        (value) => response.end(JSON.stringify({ value })),
        (error) => response.end(JSON.stringify({ error: String(error?.message ?? error) })),
      );
    });
  });
  server.listen(0, "127.0.0.1", () => {
    const folder = vscode.workspace.workspaceFolders?.[0]?.uri.fsPath ?? "";
    const query = new URLSearchParams({ folder, port: String(server.address().port) });
    http.get(`http://127.0.0.1:${process.env.DRIVER_PORT}/?${query}`).on("error", () => undefined);
  });
};
