//! Requests that must reach no server.

use super::{Serving, machine_bound_to, status};
use crate::server::{Reply, Server};

/// A request, and the status of its response. `KEY` is the path with the key, `HOST` the address. Lines
/// end with CR LF, and a single `\n` is a fault.
const REQUESTS: &[(u16, &str)] = &[
    // DNS rebinding, and requests of web pages.
    (421, "GET KEY/ HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
    (421, "GET KEY/ HTTP/1.1\r\nHost: localhost:PORT\r\n\r\n"),
    (421, "GET KEY/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
    (421, "GET KEY/ HTTP/1.1\r\nHost: HOST.evil.example\r\n\r\n"),
    (421, "GET KEY/ HTTP/1.1\r\nHost: user@HOST\r\n\r\n"),
    (421, "GET KEY/ HTTP/1.1\r\nHost: 127.1:PORT\r\n\r\n"),
    (
        421,
        "GET KEY/ HTTP/1.1\r\nHost: HOST\r\nHost: evil.example\r\n\r\n",
    ),
    (
        421,
        "GET KEY/ HTTP/1.1\r\nHost: evil.example\r\nHost: HOST\r\n\r\n",
    ),
    (421, "GET KEY/ HTTP/1.1\r\nHost: HOST, evil.example\r\n\r\n"),
    (421, "GET KEY/ HTTP/1.1\r\nHost:\r\n\r\n"),
    (421, "GET KEY/ HTTP/1.1\r\nX-Forwarded-Host: HOST\r\n\r\n"),
    (421, "GET KEY/ HTTP/1.0\r\n\r\n"),
    (
        403,
        "GET KEY/ HTTP/1.1\r\nHost: HOST\r\nOrigin: https://evil.example\r\n\r\n",
    ),
    (
        403,
        "GET KEY/ HTTP/1.1\r\nHost: HOST\r\nOrigin: null\r\n\r\n",
    ),
    (
        403,
        "GET KEY/ HTTP/1.1\r\nHost: HOST\r\nOrigin: https://HOST\r\n\r\n",
    ),
    (
        403,
        "GET KEY/ HTTP/1.1\r\nHost: HOST\r\nOrigin: http://HOST\r\nOrigin: null\r\n\r\n",
    ),
    (
        403,
        "GET KEY/ HTTP/1.1\r\nHost: HOST\r\nOrigin: http://HOST\r\nSec-Fetch-Site: same-origin\r\n\r\n",
    ),
    (403, "GET KEY/ HTTP/1.1\r\nHost: HOST\r\nOrigin:\r\n\r\n"),
    (
        403,
        "GET KEY/ HTTP/1.1\r\nHost: HOST\r\nSec-Fetch-Site: cross-site\r\n\r\n",
    ),
    (
        403,
        "GET KEY/ HTTP/1.1\r\nHost: HOST\r\nSec-Fetch-Site: same-site\r\n\r\n",
    ),
    (
        403,
        "GET KEY/ HTTP/1.1\r\nHost: HOST\r\nSec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\n\r\n",
    ),
    (
        403,
        "OPTIONS KEY/ HTTP/1.1\r\nHost: HOST\r\nOrigin: https://evil.example\r\nAccess-Control-Request-Method: PUT\r\n\r\n",
    ),
    (
        403,
        "GET KEY/ HTTP/1.1\r\nHost: HOST\r\nOrigin: https://evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ),
    // Keys.
    (404, "GET / HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (404, "GET /k- HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (
        404,
        "GET /k-00000000000000000000000000000000/ HTTP/1.1\r\nHost: HOST\r\n\r\n",
    ),
    (404, "GET KEY0/ HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (404, "GET /./KEY/ HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (404, "GET /KEY/ HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (404, "GET /?KEY/ HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (404, "GET /token HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (404, "GET /profiles HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (
        404,
        "GET /.well-known/oauth-protected-resource HTTP/1.1\r\nHost: HOST\r\n\r\n",
    ),
    // Paths.
    (400, "GET KEY/../ HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (400, "GET KEY/.. HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (400, "GET KEY/a/../../b HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (400, "GET KEY/%2e%2e/b HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (400, "GET KEY/.%2E/b HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (400, "GET KEY/%252e%252e/b HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (400, "GET KEY/..%2fb HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (400, "GET KEY/a%2f..%2fb HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (400, "GET KEY/a%2f%2fb HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (400, "GET KEY/%2fb HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (400, "GET KEY/.%ff./b HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (400, "GET KEY/..%5cb HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (400, "GET KEY/..\\b HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (400, "GET KEY//b HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (400, "GET KEY//evil.example/ HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (400, "GET KEY/..;/b HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (400, "GET KEY/%c0%ae%c0%ae/b HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (400, "GET KEY/..%3f/b HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (400, "GET KEY/..%20/b HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (
        400,
        "GET KEY/%EF%BC%8E%EF%BC%8E/b HTTP/1.1\r\nHost: HOST\r\n\r\n",
    ),
    (400, "GET KEY/b%00 HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (400, "GET KEY/b%0d%0aX:y HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (400, "GET KEY/b#c HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (400, "GET KEY/b c HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    // Other forms of a target, and methods that return the request.
    (400, "GET http://HOSTKEY/ HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (
        400,
        "GET http://evil.example/ HTTP/1.1\r\nHost: HOST\r\n\r\n",
    ),
    (
        400,
        "CONNECT evil.example:443 HTTP/1.1\r\nHost: HOST\r\n\r\n",
    ),
    (400, "CONNECT HOST HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (400, "OPTIONS * HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (405, "TRACE KEY/ HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (405, "TRACK KEY/ HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    // Messages that two servers could read differently.
    (
        400,
        "POST KEY/ HTTP/1.1\r\nHost: HOST\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        400,
        "POST KEY/ HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    ),
    (
        400,
        "POST KEY/ HTTP/1.1\r\nHost: HOST\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    ),
    (
        400,
        "POST KEY/ HTTP/1.1\r\nHost: HOST\r\nContent-Length: 1, 2\r\n\r\nab",
    ),
    (
        400,
        "POST KEY/ HTTP/1.1\r\nHost: HOST\r\nContent-Length: -1\r\n\r\n",
    ),
    (
        400,
        "POST KEY/ HTTP/1.1\r\nHost: HOST\r\nContent-Length: 0x1\r\n\r\na",
    ),
    (
        400,
        "POST KEY/ HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        400,
        "POST KEY/ HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ),
    (
        400,
        "POST KEY/ HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
    ),
    (
        400,
        "POST KEY/ HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        400,
        "POST KEY/ HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        400,
        "POST KEY/ HTTP/1.0\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (400, "GET KEY/ HTTP/1.1\r\nHost: HOST\r\nA: b\r\n c\r\n\r\n"),
    (400, "GET KEY/ HTTP/1.1\r\n Host: HOST\r\n\r\n"),
    (400, "GET KEY/ HTTP/1.1\nHost: HOST\n\n"),
    (
        400,
        "GET KEY/ HTTP/1.1\r\nHost: HOST\r\nA: b\rGET / HTTP/1.1\r\n\r\n",
    ),
    (400, "GET KEY/ HTTP/1.1\r\nHost: HOST\r\nA: b\0\r\n\r\n"),
    (400, "GET KEY/ HTTP/1.1\r\nHost: HOST\r\n: b\r\n\r\n"),
    (400, "GET KEY/ HTTP/1.1\r\nHost: HOST\r\nA\r\n\r\n"),
    (400, "GET\tKEY/ HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (400, "GET KEY/ HTTP/1.1 x\r\nHost: HOST\r\n\r\n"),
    (400, "GET KEY/ HTTP/9.9\r\nHost: HOST\r\n\r\n"),
    (400, "GET KEY/\r\n\r\n"),
    (400, "\x16\x03\x01\x02\0\r\n\r\n"),
    // Too large.
    (431, "GET KEY/ HTTP/1.1\r\nHost: HOST\r\nA: LONG\r\n\r\n"),
    (431, "GET KEY/LONG HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (431, "GET KEY/ HTTP/1.1\r\nHost: HOST\r\nMANY\r\n\r\n"),
];

#[test]
#[allow(clippy::print_stdout, reason = "how many there were")]
fn hostile_requests_reach_no_server() {
    assert!(REQUESTS.len() >= 60);
    let api = Server::start(|_| Reply::json(200, "{}"));
    let machine = machine_bound_to(&api.url("/v1"));
    let serving = Serving::start(&machine, &["-v", "p"]);
    let (host, key) = (serving.address().to_owned(), serving.path().to_owned());
    // 128 bits, and others each time.
    let digits = key.strip_prefix("/k-").expect("a key");
    assert!(digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_ne!(key, Serving::start(&machine, &["p"]).path());
    let port = host.rsplit(':').next().expect("a port");
    for (expected, request) in REQUESTS {
        let request = request
            .replace("LONG", &"a".repeat(40_000))
            .replace("MANY\r\n", &"A: b\r\n".repeat(200))
            .replace("HOST", &host)
            .replace("PORT", port)
            .replace("KEY", &key);
        // A second one, hidden behind it, must not be answered either.
        let hidden = format!("GET {key}/hidden HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let response = serving.exchange(format!("{request}{hidden}").as_bytes());
        let shown: String = request.chars().take(200).collect();
        assert_eq!(status(&response), *expected, "{shown:?}: {response}");
        assert_eq!(
            response.matches("\r\ndate: ").count(),
            1,
            "{shown:?}: {response}"
        );
        let lower = response.to_lowercase();
        for secret in ["token-1", "k-", "access-control", "127.0.0.1"] {
            assert!(!lower.contains(secret), "{shown:?}: {response}");
        }
    }
    // The body of a request cannot be changed into another one.
    let bodies = [
        "1\na\r\n0\r\n\r\n",
        "x\r\n",
        "1\r\nab\r\n",
        "0\r\nA b\r\n\r\n",
        "-1\r\n",
    ];
    for body in bodies {
        let head =
            format!("POST {key}/ HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n");
        let response = serving.exchange(format!("{head}\r\n{body}").as_bytes());
        let code = status(&response);
        assert!(matches!(code, 400 | 408 | 502), "{body:?}: {response}");
    }
    assert_eq!(api.requests().len(), 0, "{:?}", api.requests());
    let count = REQUESTS.len() + bodies.len();
    println!("{count} hostile requests, 0 requests to the server");
    // The one that is not hostile.
    assert_eq!(status(&serving.get("/fine?a=secret")), 200);
    let ran = serving.stop();
    assert!(ran.stderr.contains("GET /v1/fine: 200"), "{ran:?}");
    assert!(!ran.stderr.contains("secret"), "{ran:?}");
    let key = key.trim_start_matches("/k-");
    assert!(
        !ran.stderr.contains(key) && !ran.stderr.contains("token-1"),
        "{ran:?}"
    );
}

#[test]
fn it_listens_on_loopback_only() {
    let api = Server::start(|_| Reply::json(200, "{}"));
    let machine = machine_bound_to(&api.url("/"));
    let serving = Serving::start(&machine, &["p"]);
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the sockets");
    let port: u16 = serving
        .address()
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok())
        .expect("a port");
    let listening: Vec<_> = table
        .lines()
        .filter_map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            let (local, state) = (*words.get(1)?, *words.get(3)?);
            (local.ends_with(&format!(":{port:04X}")) && state == "0A").then(|| local.to_owned())
        })
        .collect();
    assert_eq!(listening, [format!("0100007F:{port:04X}")]);
    let table = std::fs::read_to_string("/proc/net/tcp6").unwrap_or_default();
    let port_of_all = format!(":{port:04X} 00000000000000000000000000000000:0000 0A");
    assert!(!table.contains(&port_of_all), "{table}");
    let ran = machine
        .run(&["serve", "p", "--port", &port.to_string()])
        .failure(2);
    assert!(ran.stderr.contains("choose another port"), "{ran:?}");
}
