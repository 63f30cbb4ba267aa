import assert from "node:assert/strict";
import { test } from "node:test";
import { boundLength, parseHttpFile, requestAt } from "../../src/http_file.ts";

/** What is found in a file: the line, and the URL, the variable or the reason. */
function targets(text: string): [number, string][] {
  return parseHttpFile(text).map(({ written, target }) => {
    switch (target.kind) {
      case "url":
        return [written.line, target.url.href];
      case "variable":
        return [written.line, `$${target.name}`];
      case "unknown":
        return [written.line, `? ${target.reason}`];
    }
  });
}

test("each request has its line and its URL", () => {
  const file = `# a comment
@base = https://api.example/v1
@name = value

GET {{base}}/items/{{$guid}}?q={{unknown}} HTTP/1.1
Accept: text/plain
Authorization: Bearer https://not-a-request.example/

GET https://in-a-body.example/
### a title
// a comment
# @name create
post https://api.example/v2/{{name}}
Content-Type: application/json

{"a": "{{name}}"}
###
https://api.example/only-a-url
    ?page=2
###
{{
  const script = "GET https://in-a-script.example/";
}}
DELETE {{$processEnv VIA_HALLPASS_API_EXAMPLE}}/items/1
###
`.replaceAll("\n", "\r\n");
  assert.deepEqual(targets(file), [
    [4, "https://api.example/v1/items/_?q=_"],
    [12, "https://api.example/v2/value"],
    [17, "https://api.example/only-a-url"],
    [23, "$VIA_HALLPASS_API_EXAMPLE"],
  ]);
  assert.equal(requestAt(parseHttpFile(file), 15)?.written.line, 12);
  assert.equal(requestAt(parseHttpFile(file), 3), undefined);
});

test("a host that is not known is not guessed", () => {
  const host = "? the file does not define {{host}}";
  const notUrl = "? this is not an http or https URL with a host";
  assert.deepEqual(targets("GET {{host}}/a"), [[0, host]]);
  assert.deepEqual(targets("GET https://{{host}}/a"), [[0, host]]);
  assert.deepEqual(targets("GET https://api{{host}}.example/a"), [[0, host]]);
  assert.deepEqual(targets("@url = {{host}}\nGET {{url}}"), [[1, host]]);
  assert.deepEqual(targets("GET {{$processEnv OTHER}}/a"), [[0, "? the file does not define {{$processEnv OTHER}}"]]);
  assert.deepEqual(targets("GET /path HTTP/1.1\nHost: api.example"), [[0, notUrl]]);
  assert.deepEqual(targets("GET https://api.example@evil.example/"), [[0, notUrl]]);
  assert.deepEqual(targets("GET gopher://api.example/"), [[0, notUrl]]);
});

test("a variable of the file leads to the address too", () => {
  assert.deepEqual(targets("@a = {{$processEnv VIA_HALLPASS_X}}\n@b = {{a}}/v1\n\nGET {{b}}/c"), [
    [3, "$VIA_HALLPASS_X"],
  ]);
});

test("variables that need each other, and long ones, end", () => {
  assert.deepEqual(targets("@a = {{b}}\n@b = {{a}}\nGET {{a}}/"), [[2, "? the file does not define {{a}}"]]);
  const lines = ["@v0 = https://api.example/xxxxxxxxxxxxxxxx"];
  for (let index = 1; index < 40; index++) {
    const before = `{{v${String(index - 1)}}}`;
    lines.push(`@v${String(index)} = ${before}${before}${before}${before}`);
  }
  lines.push("GET {{v39}}");
  assert.equal(parseHttpFile(lines.join("\n"))[0]?.target.kind, "unknown");
  assert.equal(parseHttpFile(`GET https://api.example/${"x".repeat(100_000)}`).length, 0);
  assert.equal(parseHttpFile("GET https://api.example/\n###\n".repeat(5000)).length, 1000);
});

test("the start of a URL is where it is written", () => {
  const [request] = parseHttpFile("@base = https://api.example/v1\n\n  GET {{base}}/items");
  assert.ok(request?.target.kind === "url");
  assert.deepEqual(request.target.start, { line: 0, column: 8, text: "https://api.example/v1" });
  assert.deepEqual(request.written, { line: 2, column: 6, text: "{{base}}/items" });
});

test("only a whole bound URL is replaced", () => {
  const bound = "https://api.example/v1/";
  assert.equal(boundLength("https://api.example/v1/items", bound), 22);
  assert.equal(boundLength("HTTPS://API.example/v1?q", bound), 22);
  assert.equal(boundLength("https://api.example/v1", bound), 22);
  for (const text of ["https://api.example/v10", "https://api.example/V1/", "https://api.example", "{{base}}/v1/"]) {
    assert.equal(boundLength(text, bound), undefined, text);
  }
});
