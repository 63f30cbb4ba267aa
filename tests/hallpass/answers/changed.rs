//! Responses that are changed at random, read by the real program.

use std::sync::Mutex;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use crate::machine::Machine;
use crate::server::{Reply, Server};

const TOKEN: &str = r#"{"access_token":"eyJz93a...k4laUWw","token_type":"Bearer","scope":"USER","expires_in":86400,"note":"M\u00fcller, 1.5"}"#;

/// Whole responses with up to three bytes of the last member's value replaced: a token is there.
fn with_an_odd_note() -> impl Strategy<Value = Vec<u8>> {
    let start = TOKEN.find("M\\u00fc").expect("the note");
    let length = TOKEN.len() - 2 - start;
    // A quotation mark or a backslash would end the value, or not.
    let byte = any::<u8>().prop_filter("ends the value", |byte| !b"\"\\".contains(byte));
    proptest::collection::vec((any::<Index>(), byte), 1..4).prop_map(move |edits| {
        let mut body = TOKEN.replace("\\u", "/u").into_bytes();
        for (at, byte) in edits {
            body[start + at.index(length)] = byte;
        }
        body
    })
}

/// Responses with up to three bytes replaced anywhere, or without their end.
fn with_any_fault() -> impl Strategy<Value = Vec<u8>> {
    let edits = proptest::collection::vec((any::<Index>(), any::<u8>()), 1..4);
    let replaced = edits.prop_map(|edits| {
        let mut body = TOKEN.as_bytes().to_vec();
        for (at, byte) in edits {
            let at = at.index(body.len());
            body[at] = byte;
        }
        body
    });
    let cut = any::<Index>().prop_map(|at| TOKEN.as_bytes()[..at.index(TOKEN.len())].to_vec());
    prop_oneof![3 => replaced, 1 => cut]
}

#[test]
fn a_changed_response_loses_no_token_and_gives_no_unclean_one() {
    let mut runner = TestRunner::deterministic();
    let mut draw = |count: usize, bodies: BoxedStrategy<Vec<u8>>| -> Vec<Vec<u8>> {
        let body = |_| bodies.new_tree(&mut runner).expect("a body").current();
        (0..count).map(body).collect()
    };
    let whole = draw(30, with_an_odd_note().boxed());
    let faulty = draw(30, with_any_fault().boxed());
    let bodies = [whole.clone(), faulty].concat();
    let next = Mutex::new(bodies.clone().into_iter());
    let server = Server::start(move |_| {
        let body = next.lock().expect("not poisoned").next();
        Reply::json(200, body.expect("a body for each request"))
    });
    let machine = Machine::new();
    machine.login("default", &server, &["--no-verify"]);
    for (number, body) in bodies.iter().enumerate() {
        let shown = String::from_utf8_lossy(body);
        let ran = machine.run(&["token", "--refresh"]);
        if number < whole.len() {
            assert_eq!(ran.token(), "eyJz93a...k4laUWw", "{shown}");
            continue;
        }
        assert!(!ran.stderr.contains(['\u{1b}', '\0']), "{shown}: {ran:?}");
        match ran.code {
            0 => {
                let token = ran.stdout.strip_suffix('\n').expect("a line");
                let is_clean = token.bytes().all(|byte| byte.is_ascii_graphic());
                assert!(is_clean && !token.is_empty(), "{shown}: {ran:?}");
            }
            4 | 5 => assert_eq!(ran.stdout, "", "{shown}"),
            _ => panic!("{shown}: {ran:?}"),
        }
    }
}
