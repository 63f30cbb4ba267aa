//! Programs that developers use, each at a server that demands the token: through the address of
//! `hallpass serve`, with a token from its token endpoint, and with one from its socket.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

use super::Serving;
use crate::clients::{Demands, Site, repositories, shown};
use crate::machine::{HALLPASS, Machine, Ran};
use crate::real_servers::{duckdb_extension, found, node_program, npm_packages, service_client};
use crate::server::{Reply, Request, Server};
use crate::support::{run_by, shell_with_own_mounts};

/// A server, and both ways of programs to it that cannot run hallpass.
struct Served {
    site: Site,
    /// The server itself, with the token set.
    proxy: Serving,
    /// Tokens, as an authorization server issues them.
    token_url: Serving,
}

impl Served {
    fn start(content: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let site = Site::start(Demands::Bearer, content);
        let start = |arguments: &[&str]| Serving::start(&site.machine, arguments);
        let (proxy, token_url) = (start(&["prod"]), start(&["prod", "--as-token-endpoint"]));
        Self {
            site,
            proxy,
            token_url,
        }
    }

    /// A URL at the address of hallpass.
    fn through(&self, path: &str) -> String {
        [&self.proxy.url, path].concat()
    }

    /// Each of these was requested once, all with the token, and none without it.
    #[track_caller]
    fn got_the_token(&self, targets: &[&str]) {
        let mut seen = Vec::new();
        for request in self.site.server.requests() {
            if request.target != "/oauth/token" {
                assert_eq!(shown(&request, Demands::Bearer), Some(1), "{request:?}");
                seen.push(request.target);
            }
        }
        seen.sort();
        assert_eq!(seen, targets);
        assert_eq!(self.site.issued(), 1);
    }

    /// Writes a file of a project.
    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.site.directory("project").join(name);
        fs::write(&path, content).expect("a file");
        path
    }

    /// Runs a script of the npm packages of tests/api-clients in the project.
    #[track_caller]
    fn node(&self, script: &str, arguments: &[&str]) -> Ran {
        let packages = npm_packages("api-clients", &[]).join("node_modules");
        let node = node_program();
        let mut command = self.site.command(node.to_str().expect("UTF-8"));
        command.arg(packages.join(script)).args(arguments);
        command.current_dir(self.site.directory("project"));
        Ran::from(command.output().expect("node starts"))
    }
}

fn api() -> Served {
    Served::start(|_| Reply::json(200, r#"{"from":"the API"}"#))
}

#[test]
fn curl_gets_its_responses() {
    let served = api();
    let curl = |arguments: &[&str]| {
        let arguments = [&["-sSf"], arguments].concat();
        served.site.run("curl", &arguments).success().stdout
    };
    let direct = served.site.server.url("/direct");
    assert_eq!(curl(&[&served.through("a")]), r#"{"from":"the API"}"#);
    curl(&["-T", "Cargo.toml", &served.through("upload")]);
    let form = ["-u", "any:any", "-d", "grant_type=client_credentials"];
    let issued = curl(&[&form[..], &[&served.token_url.url]].concat());
    let issued: Value = serde_json::from_str(&issued).expect("JSON");
    let token = issued["access_token"].as_str().expect("a token");
    curl(&["-H", &format!("Authorization: Bearer {token}"), &direct]);
    served.got_the_token(&["/a", "/direct", "/upload"]);
}

#[test]
fn newman_gets_its_responses() {
    let served = api();
    let is_fine = json!([{ "listen": "test", "script": { "exec": [
        "pm.test('fine', () => pm.response.to.have.status(200));",
        "const { access_token } = pm.response.json();",
        "if (access_token) pm.environment.set('token', access_token);",
    ] } }]);
    let parameter = json!({ "key": "grant_type", "value": "client_credentials" });
    let token = json!([{ "key": "token", "value": "{{token}}", "type": "string" }]);
    let through = json!({ "url": served.through("a"), "method": "GET" });
    let issuing = json!({ "url": served.token_url.url, "method": "POST",
        "body": { "mode": "urlencoded", "urlencoded": [parameter] } });
    let direct = json!({ "url": served.site.server.url("/direct"), "method": "GET",
        "auth": { "type": "bearer", "bearer": token } });
    let items =
        [through, issuing, direct].map(|request| json!({ "name": "r", "request": request }));
    let schema = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json";
    let collection =
        json!({ "info": { "name": "c", "schema": schema }, "event": is_fine, "item": items });
    served.file("collection.json", &collection.to_string());
    served
        .node("newman/bin/newman.js", &["run", "collection.json"])
        .success();
    served.got_the_token(&["/a", "/direct"]);
}

/// Bruno and `httpYac` have fields for the URL of a token endpoint.
#[test]
fn bruno_gets_its_responses() {
    let served = api();
    let request = |name: &str, url: &str, auth: &str, settings: &str| {
        let content = format!(
            "meta {{\n  name: {name}\n  type: http\n}}\nget {{\n  url: {url}\n  auth: {auth}\n}}\n\
             {settings}assert {{\n  res.status: eq 200\n}}\n"
        );
        served.file(&format!("{name}.bru"), &content);
    };
    served.file(
        "bruno.json",
        r#"{"version":"1","name":"c","type":"collection"}"#,
    );
    request("a", &served.through("a"), "none", "");
    let settings = format!(
        "auth:oauth2 {{\n  grant_type: client_credentials\n  access_token_url: {}\n  client_id: any\n  \
         client_secret: any\n  credentials_placement: body\n  credentials_id: c\n  \
         token_source: access_token\n  token_placement: header\n  token_header_prefix: Bearer\n  \
         auto_fetch_token: true\n}}\n",
        served.token_url.url
    );
    let direct = served.site.server.url("/direct");
    request("direct", &direct, "oauth2", &settings);
    served.node("@usebruno/cli/bin/bru.js", &["run"]).success();
    served.got_the_token(&["/a", "/direct"]);
}

#[test]
fn httpyac_gets_its_responses() {
    let served = api();
    let content = format!(
        "@oauth2_tokenEndpoint={}\n@oauth2_clientId=any\n@oauth2_clientSecret=any\n\n\
         GET {}a\n?? status == 200\n\n###\n\nGET {}\nAuthorization: oauth2 client_credentials\n?? status == 200\n",
        served.token_url.url,
        served.proxy.url,
        served.site.server.url("/direct"),
    );
    served.file("requests.http", &content);
    let arguments = ["send", "requests.http", "--all"];
    served.node("httpyac/bin/httpyac.js", &arguments).success();
    served.got_the_token(&["/a", "/direct"]);
}

/// Of its Iceberg catalogs, `DuckDB` knows only the URL that issues tokens.
#[test]
fn duckdb_gets_its_responses() {
    let served = Served::start(|request| match request.target.as_str() {
        "/v1/config" => Reply::json(200, r#"{"defaults":{},"overrides":{}}"#),
        "/v1/namespaces" => Reply::json(200, r#"{"namespaces":[["sales"]]}"#),
        target if target.ends_with("/tables") => Reply::json(200, r#"{"identifiers":[]}"#),
        _ => Reply::new(200).body("hello"),
    });
    let load = ["httpfs", "avro", "iceberg"]
        .map(|name| format!("LOAD '{}'; ", duckdb_extension(name).display()));
    let sql = format!(
        "SELECT content FROM read_text('{}a.txt'); \
         ATTACH '' AS c (TYPE iceberg, ENDPOINT '{}', CLIENT_ID 'any', CLIENT_SECRET 'any', \
         OAUTH2_SERVER_URI '{}'); SHOW ALL TABLES;",
        served.proxy.url,
        served.site.server.url(""),
        served.token_url.url
    );
    let duckdb = service_client("duckdb");
    let sql = load.concat() + &sql;
    let arguments = ["-unsigned", "-bail", "-csv", "-c", &sql];
    let ran = served
        .site
        .run(duckdb.to_str().expect("UTF-8"), &arguments)
        .success();
    assert!(ran.stdout.contains("hello"), "{ran:?}");
    let requests = served.site.server.requests();
    let has = |wanted: &str| requests.iter().any(|request| request.target == wanted);
    assert!(has("/a.txt") && has("/v1/namespaces"), "{requests:?}");
    let to_api = requests
        .iter()
        .filter(|request| request.target != "/oauth/token");
    for request in to_api {
        assert_eq!(shown(request, Demands::Bearer), Some(1), "{request:?}");
    }
}

/// Tries what a page of another site can do to the listener, and reports what came of each.
const PAGE: &str = r#"<!doctype html><body><script>
const results = [];
const attempt = async (name, action) => {
  let result;
  try { result = await action(); } catch { result = "refused"; }
  results.push(name + ": " + result);
};
const loaded = (element, start) => new Promise((resolve, reject) => {
  element.onload = element.onopen = element.onmessage = () => resolve("loaded");
  element.onerror = reject;
  start(element);
});
const added = (tag, set) => loaded(document.createElement(tag), element => {
  set(element);
  document.body.append(element);
});
const type = async (url, options) => (await fetch(url, options)).type;
const sent = (url, method, enctype) => added("iframe", frame => {
  frame.name = "frame" + results.length;
  const form = document.createElement("form");
  Object.assign(form, { action: url, method, enctype, target: frame.name });
  form.append(Object.assign(document.createElement("input"), { name: "a", value: "b" }));
  document.body.append(form);
  setTimeout(() => form.submit());
});
(async () => {
  for (const url of ["LISTENER", "REBOUND"]) {
    navigator.sendBeacon(url, "beacon");
    await attempt("fetch", () => type(url));
    await attempt("with credentials", () => type(url, { credentials: "include" }));
    await attempt("JSON", () => type(url, { method: "POST", body: "{}", headers: { "Content-Type": "application/json" } }));
    await attempt("PUT", () => type(url, { method: "PUT", body: "x" }));
    await attempt("own header", () => type(url, { headers: { Authorization: "Bearer x" } }));
    await attempt("opaque", () => type(url, { mode: "no-cors" }));
    await attempt("opaque POST", () => type(url, { mode: "no-cors", method: "POST", body: "x" }));
    await attempt("script", () => added("script", it => it.src = url));
    await attempt("module", () => added("script", it => Object.assign(it, { type: "module", src: url })));
    await attempt("image", () => added("img", it => it.src = url));
    await attempt("style", () => added("link", it => Object.assign(it, { rel: "stylesheet", href: url })));
    await attempt("prefetch", () => added("link", it => Object.assign(it, { rel: "prefetch", href: url })));
    await attempt("events", () => loaded(new EventSource(url), () => {}));
    await attempt("WebSocket", () => loaded(new WebSocket(url.replace("http", "ws")), () => {}));
    await attempt("frame", () => added("iframe", it => it.src = url));
    await attempt("form", () => sent(url, "get", ""));
    await attempt("posted form", () => sent(url, "post", ""));
    await attempt("plain form", () => sent(url, "post", "text/plain"));
    await attempt("file form", () => sent(url, "post", "multipart/form-data"));
  }
  await fetch("/report", { method: "POST", body: results.join("\n") });
})();
</script>"#;

/// The first of these that this machine has.
fn browser() -> &'static str {
    let browsers = ["chromium-headless-shell", "chromium", "google-chrome"];
    let path = std::env::var_os("PATH").expect("a PATH");
    let directories: Vec<_> = std::env::split_paths(&path).collect();
    let is_here = |browser: &&str| directories.iter().any(|it| it.join(browser).exists());
    let browser = browsers.into_iter().find(is_here);
    browser.expect("a browser (Debian package: chromium-headless-shell)")
}

/// A browser that is ended with all of its processes.
struct Visit(Child);

impl Visit {
    fn start(mut command: Command) -> Self {
        let command = command.process_group(0).stdout(Stdio::piped());
        Self(command.spawn().expect("a browser that starts"))
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Some(id) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(id, Signal::KILL);
        }
        // Until none of them has the pipe any more.
        let _ = self
            .0
            .stdout
            .take()
            .map(|mut pipe| io::copy(&mut pipe, &mut io::sink()));
        let _ = self.0.wait();
    }
}

/// Even one that knows the key.
#[test]
fn a_page_of_another_site_gets_nothing_through_a_browser() {
    let served = api();
    let serving = &served.proxy;
    let rebound = format!("http://rebound.example{}/", serving.path());
    let page = PAGE
        .replace("LISTENER", &serving.url)
        .replace("REBOUND", &rebound);
    let site = Server::start(move |request| match request.target.as_str() {
        "/" => Reply::new(200)
            .header("Content-Type", "text/html")
            .body(page.clone()),
        "/report" => Reply::new(204),
        _ => Reply::new(404),
    });
    let hosts = format!(
        "--host-resolver-rules=MAP evil.example 127.0.0.1:{}, MAP rebound.example {}",
        site.port(),
        serving.address()
    );
    let start = |arguments: &[&str]| {
        let mut command = served.site.command(browser());
        let profile = served.site.directory("browser");
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .args(arguments)
            .stderr(Stdio::null());
        command
    };
    let visit = ["--remote-debugging-port=0", &hosts, "http://evil.example/"];
    let visiting = Visit::start(start(&visit));
    let report = site.wait_for_request("/report");
    drop(visiting);
    let report = report.text();
    // An opaque response can be one of hallpass, and a frame shows it.
    let fine = ["refused", "opaque"];
    for line in report.lines() {
        let (name, result) = line.split_once(": ").expect("a result");
        let is_frame = name == "frame" || name.ends_with("form");
        assert!(is_frame || fine.contains(&result), "{line}");
    }
    assert_eq!(report.lines().count(), 2 * 19, "{report}");
    assert_eq!(report.matches("opaque: opaque").count(), 2, "{report}");
    // Nor does one who opens the address.
    let shown = start(&["--dump-dom", &serving.url]).output();
    let shown = Ran::from(shown.expect("a browser that starts"))
        .success()
        .stdout;
    assert!(
        shown.contains("requests from web pages are refused"),
        "{shown}"
    );
    served.got_the_token(&[]);
    served.site.run("curl", &["-sSf", &serving.url]).success();
    served.got_the_token(&["/"]);
}

/// A server of a git repository that takes one token, and git, both without any other network.
const IN_CONTAINER: &str = r#"
import base64, fcntl, functools, http.server, os, socket, struct, subprocess, sys, threading
repositories, token, copy = sys.argv[1:]
with socket.socket() as loopback:
    fcntl.ioctl(loopback, 0x8914, struct.pack("16sh14x", b"lo", 0x1))  # SIOCSIFFLAGS, IFF_UP
class Files(http.server.SimpleHTTPRequestHandler):
    accepted = 0
    def do_GET(self):
        scheme, _, credentials = self.headers.get("Authorization", "").partition(" ")
        if scheme == "Basic" and base64.b64decode(credentials).decode().endswith(":" + token):
            Files.accepted += 1
            return super().do_GET()
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="git"')
        self.send_header("Content-Length", "0")
        self.end_headers()
files = functools.partial(Files, directory=repositories)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 8080), files)
threading.Thread(target=server.serve_forever, daemon=True).start()
subprocess.run(["git", "clone", "--quiet", "http://127.0.0.1:8080/app.git", copy], check=True)
print(open(copy + "/file").read(), Files.accepted > 0)
"#;

/// It has hallpass and the socket: no profile, no keychain, no network.
#[test]
fn git_in_a_container_gets_its_token_through_the_socket() {
    let outside = Machine::new();
    let url = "http://127.0.0.1:8080/";
    outside.login("p", outside.server(), &["--for", url]);
    let socket = outside.root().join("run/socket");
    let socket = socket.to_str().expect("UTF-8");
    let serving = Serving::start(&outside, &["p", "--socket", socket]);
    let mut inside = Machine::new();
    let mounted = inside.root().join("socket");
    fs::write(&mounted, "").expect("a file to mount the socket on");
    inside.set("HALLPASS_SOCKET", mounted.to_str().expect("UTF-8"));
    let helper = format!("[credential]\n\thelper = {} git-credential\n", *HALLPASS);
    fs::write(inside.home().join(".gitconfig"), helper).expect("git's settings");
    let repositories = repositories();
    let bare = repositories.path().join("app.git");
    let mut update = Command::new("git");
    let update = update
        .arg("-C")
        .arg(bare)
        .arg("update-server-info")
        .status();
    assert!(update.expect("git starts").success());
    let script = "mount --bind \"$1\" \"$2\"; mount -t tmpfs none \"$3\"; shift 3; \
        exec unshare --net \"$@\"";
    let mut container = shell_with_own_mounts(script);
    container.args([Path::new(socket), &mounted, outside.root()]);
    let mut program = inside.command(service_client("python"));
    program
        .args(["-B", "-c", IN_CONTAINER])
        .arg(repositories.path())
        .arg("token-1")
        .arg(inside.root().join("copy"))
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_CONFIG_NOSYSTEM", "1");
    let mut container = run_by(container, &program);
    let ran = Ran::from(found(container.output(), "unshare", "util-linux")).success();
    assert_eq!(ran.stdout, "content True\n", "{ran:?}");
    assert_eq!(
        outside.server().requests().len(),
        1,
        "the token of the login"
    );
    assert_eq!(serving.stop().code, 0);
}
