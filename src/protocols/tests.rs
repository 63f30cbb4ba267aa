//! Searches for a request that gets a token for a URL that is not bound.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use serde_json::Value;

use super::fuzz::{Outcome, TOKEN, call};
use super::*;

#[test]
fn a_request_is_read_up_to_64_kib() {
    for length in [65_536, 65_537] {
        let input = vec![b'x'; length];
        let whole = read_to_end(&mut &input[..]).expect("a request");
        let line = read_line(&mut &input[..]).expect("a line");
        assert_eq!((whole.len(), line.len()), (65_536, 65_536));
    }
}

/// What a client sends.
#[derive(Clone, Debug)]
struct ClientRequest {
    arguments: Vec<String>,
    input: Vec<u8>,
    /// The environment variable, where the protocol has one.
    variable: Option<String>,
}

/// A request that a client of this protocol really makes, and how to read what it is for.
#[derive(Clone, Copy, Debug)]
struct Transcript {
    protocol: &'static str,
    arguments: &'static [&'static str],
    input: &'static str,
    variable: Option<&'static str>,
    /// The URL that the request is for, read independently of the program. None if it names no URL.
    meant: fn(&ClientRequest) -> Option<String>,
    /// The client names no URL, and its configuration selects the profile.
    is_selected: bool,
}

const TRANSCRIPTS: &[Transcript] = &[
    Transcript {
        protocol: "git-credential",
        arguments: &["get"],
        input: "capability[]=authtype\ncapability[]=state\nprotocol=https\nhost=a.example\npath=app.git\n\
            username=x\nwwwauth[]=Bearer realm=\"x\"\nstate[]=hallpass:1795000000000\n\n",
        variable: None,
        meant: |request| {
            let text = String::from_utf8_lossy(&request.input).into_owned();
            let end = text.find("\n\n").unwrap_or(text.len());
            let value = |key| {
                let mut lines = text[..end].split('\n');
                Some(lines.find_map(|line| line.strip_prefix(key))?.to_owned())
            };
            Some(format!("{}://{}", value("protocol=")?, value("host=")?))
        },
        is_selected: false,
    },
    Transcript {
        protocol: "docker-credential",
        arguments: &["get"],
        input: "a.example\n",
        variable: None,
        meant: |request| {
            let text = String::from_utf8_lossy(&request.input).into_owned();
            Some(with_scheme(text.trim_end_matches('\n')))
        },
        is_selected: false,
    },
    Transcript {
        protocol: "--cargo-plugin",
        arguments: &[],
        input: r#"{"v":1,"registry":{"index-url":"sparse+https://a.example/index/","name":"x"},"kind":"get","operation":"read","args":[]}
"#,
        variable: None,
        meant: |request| {
            let line = request.input.split(|byte| *byte == b'\n').next()?;
            let url = text_at(line, "/registry/index-url")?;
            Some(url.strip_prefix("sparse+").unwrap_or(&url).to_owned())
        },
        is_selected: false,
    },
    Transcript {
        protocol: "bazel-credential",
        arguments: &["get"],
        input: r#"{"uri":"grpcs://a.example/build.bazel.remote.execution.v2.Capabilities"}"#,
        variable: None,
        meant: |request| Some(text_at(&request.input, "/uri")?.replacen("grpcs://", "https://", 1)),
        is_selected: false,
    },
    Transcript {
        protocol: "kubectl-credential",
        arguments: &[],
        input: "",
        variable: Some(
            r#"{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"cluster":{"server":"https://a.example","certificate-authority-data":null},"interactive":false}}"#,
        ),
        meant: |request| {
            text_at(
                request.variable.as_ref()?.as_bytes(),
                "/spec/cluster/server",
            )
        },
        is_selected: false,
    },
    Transcript {
        protocol: "goauth",
        arguments: &["https://a.example/mod?go-get=1"],
        input: "HTTP/2.0 401 Unauthorized\r\nWww-Authenticate: Basic\r\n\r\n",
        variable: None,
        meant: |request| request.arguments.first().cloned(),
        is_selected: false,
    },
    Transcript {
        protocol: "terraform-credentials",
        arguments: &["get", "a.example"],
        input: "",
        variable: None,
        meant: |request| Some(format!("https://{}", request.arguments.get(1)?)),
        is_selected: false,
    },
    Transcript {
        protocol: "pnpm-tokenhelper",
        arguments: &[],
        input: "",
        variable: None,
        meant: |_| None,
        is_selected: true,
    },
    Transcript {
        protocol: "keyring",
        arguments: &["--mode", "creds", "get", "https://a.example/simple/", "x"],
        input: "",
        variable: None,
        meant: |request| {
            let takes_the_next = |word: &String| {
                ["--mode", "--output"].contains(&word.strip_suffix('=').unwrap_or(word))
            };
            let (mut words, mut arguments) = (Vec::new(), request.arguments.iter());
            while let Some(word) = arguments.next() {
                if takes_the_next(word) {
                    arguments.next();
                } else if !word.starts_with('-') {
                    words.push(word);
                }
            }
            Some(with_scheme(words.get(1)?))
        },
        is_selected: false,
    },
    Transcript {
        protocol: "google-executable",
        arguments: &[],
        input: "",
        variable: None,
        meant: |_| None,
        is_selected: true,
    },
    Transcript {
        protocol: "askpass",
        arguments: &["Password for 'https://x@a.example': "],
        input: "",
        variable: None,
        meant: |request| {
            let url = request.arguments.first()?.split('\'').nth(1)?;
            let (scheme, rest) = url.split_once("://")?;
            let host = rest.split_once('@').map_or(rest, |(_, host)| host);
            Some(format!("{scheme}://{host}"))
        },
        is_selected: false,
    },
];

fn with_scheme(server: &str) -> String {
    if server.contains("://") {
        server.to_owned()
    } else {
        format!("https://{server}")
    }
}

fn text_at(json: &[u8], pointer: &str) -> Option<String> {
    let value: Value = serde_json::from_str(&String::from_utf8_lossy(json)).ok()?;
    Some(value.pointer(pointer)?.as_str()?.to_owned())
}

/// Whether no reader of URLs can take this for another server than `https://a.example`.
fn is_bound(url: &str) -> bool {
    let url = url.to_ascii_lowercase();
    url.strip_prefix("https://a.example").is_some_and(|rest| {
        let rest = rest.strip_prefix(":443").unwrap_or(rest);
        (rest.is_empty() || rest.starts_with(['/', '?'])) && !url.contains(['\\', '\n', '\0'])
    })
}

/// What a mutation inserts into a request.
const PIECES: &[&str] = &[
    "a.example",
    "b.example",
    "https://",
    "http://",
    "://",
    "@",
    ":",
    ":443",
    ":80",
    "/",
    "//",
    "\\",
    "?",
    "#",
    "%2f",
    "%00",
    "../",
    ".",
    "-",
    "--",
    "'",
    "\"",
    "\\n",
    "\\u0000",
    "{",
    "}",
    "[",
    "]",
    ",",
    "null",
    "=",
    "\n",
    "\n\n",
    "\r",
    "\r\n",
    "\0",
    " ",
    "\u{e9}",
    "\u{202e}",
    "\u{1b}[2J",
    "host=b.example\n",
    "host=a.example\n",
    "protocol=http\n",
    "path=",
    "username=",
    "quit=1\n",
    "\"uri\":\"https://b.example\",",
    "--output",
    "json",
    "--profile",
    "get",
    "erase",
    "list",
    "sparse+",
    "<token>",
    "127.0.0.1",
    "[::1]",
    "A.EXAMPLE",
];

#[derive(Clone, Debug)]
struct Change {
    part: Index,
    from: Index,
    removed: usize,
    inserted: Vec<u8>,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let inserted = prop_oneof![
        4 => select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..3),
    ];
    let change = (any::<Index>(), any::<Index>(), 0_usize..12, inserted).prop_map(
        |(part, from, removed, inserted)| Change {
            part,
            from,
            // Most mutations should remove little.
            removed: removed.saturating_sub(4),
            inserted,
        },
    );
    proptest::collection::vec(change, 0..5)
}

/// The transcript's request with these changes.
fn mutated(transcript: &Transcript, changes: &[Change]) -> ClientRequest {
    let words = transcript.arguments.iter().map(|word| word.as_bytes());
    let mut parts: Vec<Vec<u8>> = words.map(<[u8]>::to_vec).collect();
    let count = parts.len();
    parts.push(transcript.input.into());
    parts.extend(transcript.variable.map(Vec::from));
    for change in changes {
        let part = change.part.index(parts.len());
        let part = &mut parts[part];
        let from = change.from.index(part.len() + 1);
        let to = part.len().min(from + change.removed);
        part.splice(from..to, change.inserted.iter().copied());
    }
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    ClientRequest {
        arguments: parts[..count].iter().map(text).collect(),
        input: parts[count].clone(),
        variable: parts.get(count + 1).map(text),
    }
}

fn run(transcript: &Transcript, request: &ClientRequest) -> Outcome {
    call(
        transcript.protocol,
        &request.arguments,
        &request.input,
        request.variable.as_deref(),
    )
}

#[test]
fn every_protocol_has_a_transcript_that_gets_the_token() {
    for protocol in PROTOCOLS {
        let mut transcripts = TRANSCRIPTS.iter();
        let transcript = transcripts.find(|transcript| transcript.protocol == protocol.name);
        let transcript = transcript.expect(protocol.name);
        let request = mutated(transcript, &[]);
        let outcome = run(transcript, &request);
        assert!(
            outcome.printed.contains(TOKEN),
            "{}: {:?}",
            protocol.name,
            outcome.answer
        );
        let meant = (transcript.meant)(&request);
        assert_eq!(
            meant.is_some_and(|url| is_bound(&url)),
            !transcript.is_selected
        );
    }
}

proptest! {
    /// `PROPTEST_CASES=1000000 cargo test --release no_request` searches for minutes.
    #[test]
    fn no_request_breaks_a_helper_or_gets_a_token_for_a_url_that_is_not_bound(
        transcript in select(TRANSCRIPTS),
        changes in changes(),
    ) {
        let request = mutated(&transcript, &changes);
        let outcome = run(&transcript, &request);
        let printed = &outcome.printed;
        if printed.contains(TOKEN) {
            let meant = (transcript.meant)(&request);
            match meant {
                Some(url) => prop_assert!(outcome.bound && is_bound(&url), "{request:?}: {url}"),
                None => prop_assert!(outcome.selected, "{request:?}"),
            }
        }
        prop_assert!(printed.is_empty() || printed.ends_with('\n'), "{printed:?}");
        prop_assert!(!printed.contains(|c: char| c != '\n' && c.is_control()), "{request:?}: {printed:?}");
        // They print the user name of the request, which may be any text.
        let names_the_user = ["git-credential", "keyring"].contains(&transcript.protocol);
        prop_assert!(names_the_user || printed.is_ascii(), "{request:?}: {printed:?}");
        prop_assert!(transcript.protocol != "keyring" || printed.lines().count() <= 2, "{request:?}: {printed:?}");
    }
}

#[test]
fn the_profile_is_taken_out_of_the_arguments_of_a_client() {
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    for (given, rest, profile) in [
        (&["get"][..], &["get"][..], None),
        (&["--profile", "p", "get"], &["get"], Some("p")),
        (&["get", "--profile=p", "x"], &["get", "x"], Some("p")),
        (&["get", "--profiles"], &["get", "--profiles"], None),
    ] {
        let taken = take_profile(words(given)).expect("a profile's name");
        assert_eq!(taken, (words(rest), profile.map(str::to_owned)));
    }
    assert!(take_profile(words(&["get", "--profile"])).is_err());
}
