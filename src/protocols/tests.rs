//! The search for a request that gets a token for a URL that nobody bound.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use serde_json::Value;

use super::*;
use crate::profile::binding::BoundUrl;
use crate::profile::{self, ProfileName};

/// What a client says.
#[derive(Clone, Debug)]
struct Said {
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
    /// The URL, as anybody would read it who knows the protocol. None where the client names none.
    meant: fn(&Said) -> Option<String>,
    /// The client names no URL: whoever set it up selected the profile.
    is_selected: bool,
}

const TRANSCRIPTS: &[Transcript] = &[
    Transcript {
        protocol: "git-credential",
        arguments: &["get"],
        input: "capability[]=authtype\ncapability[]=state\nprotocol=https\nhost=a.example\npath=app.git\n\
            username=x\nwwwauth[]=Bearer realm=\"x\"\nstate[]=hallpass:1795000000000\n\n",
        variable: None,
        meant: |said| {
            let text = String::from_utf8_lossy(&said.input).into_owned();
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
        meant: |said| {
            let text = String::from_utf8_lossy(&said.input).into_owned();
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
        meant: |said| {
            let line = said.input.split(|byte| *byte == b'\n').next()?;
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
        meant: |said| Some(text_at(&said.input, "/uri")?.replacen("grpcs://", "https://", 1)),
        is_selected: false,
    },
    Transcript {
        protocol: "kubectl-credential",
        arguments: &[],
        input: "",
        variable: Some(
            r#"{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"cluster":{"server":"https://a.example","certificate-authority-data":null},"interactive":false}}"#,
        ),
        meant: |said| text_at(said.variable.as_ref()?.as_bytes(), "/spec/cluster/server"),
        is_selected: false,
    },
    Transcript {
        protocol: "goauth",
        arguments: &["https://a.example/mod?go-get=1"],
        input: "HTTP/2.0 401 Unauthorized\r\nWww-Authenticate: Basic\r\n\r\n",
        variable: None,
        meant: |said| said.arguments.first().cloned(),
        is_selected: false,
    },
    Transcript {
        protocol: "terraform-credentials",
        arguments: &["get", "a.example"],
        input: "",
        variable: None,
        meant: |said| Some(format!("https://{}", said.arguments.get(1)?)),
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
        meant: |said| {
            let takes_the_next = |word: &String| {
                ["--mode", "--output"].contains(&word.strip_suffix('=').unwrap_or(word))
            };
            let (mut words, mut arguments) = (Vec::new(), said.arguments.iter());
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
        meant: |said| {
            let url = said.arguments.first()?.split('\'').nth(1)?;
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

/// What a mutation puts into a request.
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
    put: Vec<u8>,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let put = prop_oneof![
        4 => select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..3),
    ];
    let change = (any::<Index>(), any::<Index>(), 0_usize..12, put).prop_map(
        |(part, from, removed, put)| Change {
            part,
            from,
            // A long stretch is seldom what a mutation should take.
            removed: removed.saturating_sub(4),
            put,
        },
    );
    proptest::collection::vec(change, 0..5)
}

/// What the client says, changed in some places.
fn said(transcript: &Transcript, changes: &[Change]) -> Said {
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
        part.splice(from..to, change.put.iter().copied());
    }
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    Said {
        arguments: parts[..count].iter().map(text).collect(),
        input: parts[count].clone(),
        variable: parts.get(count + 1).map(text),
    }
}

/// The only profile there is: its tokens are for `https://a.example`.
fn profile() -> SelectedProfile {
    let url = BoundUrl::parse("https://a.example").expect("a URL to bind");
    SelectedProfile {
        name: ProfileName::parse("prod").expect("a name"),
        profile: profile::example(),
        url: Some(url.as_url().clone()),
        binding: Some(Binding::of(url)),
    }
}

const TOKEN: &str = "the-t0ken";

fn token() -> CachedToken {
    CachedToken {
        access_token: AccessToken::parse(TOKEN).expect("a token"),
        token_type: "Bearer".to_owned(),
        scope: None,
        members: BTreeMap::new(),
        received_at: Timestamp(1_795_000_000_000),
        expires_at: Timestamp(1_795_003_600_000),
        warning: None,
    }
}

/// How a conversation went.
struct Outcome {
    answer: Result<Answer>,
    /// What was said before the answer, too.
    printed: String,
    /// Somebody answers for a URL that was asked about, and who was asked about it.
    bound: bool,
    /// The profile that was selected was asked for.
    selected: bool,
}

fn hold(transcript: &Transcript, said: &Said) -> Outcome {
    let protocol = PROTOCOLS
        .iter()
        .find(|protocol| protocol.name == transcript.protocol)
        .expect("a protocol");
    let (bound, selected) = (Cell::new(false), Cell::new(false));
    let printed = RefCell::new(String::new());
    let answer = (protocol.converse)(&mut Call {
        arguments: &said.arguments,
        input: &mut said.input.as_slice(),
        say: &|text| {
            printed.borrow_mut().push_str(text);
            Ok(())
        },
        variable: &|_| said.variable.clone(),
        desk: TokenProvider {
            bound_by: &|url, _| {
                let who = profile();
                let covers = who.binding.as_ref().expect("a binding").url.covers(url);
                assert_eq!(
                    covers,
                    url.origin() == "https://a.example" && !url.hides_a_slash()
                );
                bound.set(bound.get() || covers);
                Ok(covers.then_some(who))
            },
            named: &|| {
                selected.set(true);
                Ok(profile())
            },
            all_bindings: &|| Ok(vec![profile()]),
            token: &|_, _| {
                assert!(bound.get() || selected.get(), "a token for nobody's URL");
                Ok(token())
            },
            cached: &|_| Some(token()),
            forget: &|_, _| assert!(bound.get(), "a rejected token of nobody's URL"),
        },
    });
    let mut printed = printed.into_inner();
    if let Ok(answer) = &answer {
        printed.push_str(&answer.text);
    }
    Outcome {
        answer,
        printed,
        bound: bound.get(),
        selected: selected.get(),
    }
}

#[test]
fn every_protocol_has_a_transcript_that_gets_the_token() {
    for protocol in PROTOCOLS {
        let mut transcripts = TRANSCRIPTS.iter();
        let transcript = transcripts.find(|transcript| transcript.protocol == protocol.name);
        let transcript = transcript.expect(protocol.name);
        let said = said(transcript, &[]);
        let outcome = hold(transcript, &said);
        assert!(
            outcome.printed.contains(TOKEN),
            "{}: {:?}",
            protocol.name,
            outcome.answer
        );
        let meant = (transcript.meant)(&said);
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
        let said = said(&transcript, &changes);
        let outcome = hold(&transcript, &said);
        let printed = &outcome.printed;
        if printed.contains(TOKEN) {
            let meant = (transcript.meant)(&said);
            match meant {
                Some(url) => prop_assert!(outcome.bound && is_bound(&url), "{said:?}: {url}"),
                None => prop_assert!(outcome.selected, "{said:?}"),
            }
        }
        prop_assert!(printed.is_empty() || printed.ends_with('\n'), "{printed:?}");
        prop_assert!(!printed.contains(|c: char| c != '\n' && c.is_control()), "{said:?}: {printed:?}");
        // They give back the user name that they were asked for, which is a person's.
        let names_the_user = ["git-credential", "keyring"].contains(&transcript.protocol);
        prop_assert!(names_the_user || printed.is_ascii(), "{said:?}: {printed:?}");
        prop_assert!(transcript.protocol != "keyring" || printed.lines().count() <= 2, "{said:?}: {printed:?}");
    }
}
