//! The helper protocols: the exact answers and errors of each, and that none returns a token for a URL
//! that the profile is not bound to.

mod every_protocol;
mod git;
mod tools;
mod unbound;

use serde_json::Value;

use crate::server::Server;
use crate::support::{Machine, Ran, numbered_tokens};

/// A machine with a profile that is bound to these URLs.
struct Desk {
    machine: Machine,
    server: Server,
}

impl Desk {
    fn bound_to(urls: &[&str]) -> Self {
        let server = Server::start(numbered_tokens());
        let machine = Machine::new();
        let mut more = vec!["--scope", "USER"];
        more.extend(urls.iter().flat_map(|url| ["--for", *url]));
        machine.login("prod", &server, &more);
        Self { machine, server }
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.machine.run(arguments)
    }

    fn tell(&self, arguments: &[&str], input: &str) -> Ran {
        self.machine.run_with_input(arguments, input.as_bytes())
    }

    /// The answer of a helper that succeeds and writes nothing else.
    #[track_caller]
    fn answer(&self, arguments: &[&str], input: &str) -> String {
        let ran = self.tell(arguments, input).success();
        assert_eq!(ran.stderr, "", "{ran:?}");
        ran.stdout
    }

    #[track_caller]
    fn json(&self, arguments: &[&str], input: &str) -> Value {
        let answer = self.answer(arguments, input);
        let line = answer.lines().last().expect("an answer");
        serde_json::from_str(line).expect("JSON")
    }
}

const GIT: &[&str] = &["git-credential", "get"];
