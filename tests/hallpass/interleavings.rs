//! Logins, bindings and logouts of one name at the same time, in a random order: nothing that the
//! user gave is lost, and nothing is left behind.

use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::machine::{CLIENT_ID, Machine, Ran, SECRET, finish};
use crate::secret_service::SecretService;
use crate::server::{Reply, Request, Server};

/// How many rounds, if `INTERLEAVINGS` does not say: more take minutes.
const ROUNDS: u64 = 12;

const KEPT: &str = "https://kept.example/";
const TAKEN: &str = "https://taken.example/";

#[test]
fn nothing_is_lost_or_left_whatever_happens_at_the_same_time() {
    let rounds = std::env::var("INTERLEAVINGS").map_or(ROUNDS, |rounds| {
        rounds.parse().expect("a number in INTERLEAVINGS")
    });
    let keychain = SecretService::start();
    let machine = Machine::new().with_environment(keychain.environment());
    // A token names what it was requested with.
    let server = Server::start(|request: &Request| {
        let form = request.form();
        let value = |name: &str| {
            let found = form.iter().find(|(key, _)| key == name);
            found.map_or("-", |(_, value)| value.as_str()).to_owned()
        };
        Reply::token(&format!("{}.{}", value("scope"), value("audience")), 3600)
    });
    machine.private_file("secret", SECRET.as_bytes());
    for round in 0..rounds {
        Round {
            machine: &machine,
            server: &server,
            keychain: &keychain,
            name: format!("round-{round}"),
            random: Random(round + 1),
        }
        .run();
    }
}

struct Round<'a> {
    machine: &'a Machine,
    server: &'a Server,
    keychain: &'a SecretService,
    name: String,
    random: Random,
}

impl Round<'_> {
    fn run(mut self) {
        self.start_login(&["--scope", "first"]).end().success();
        let with_logout = self.random.below(3) == 0;
        let logins = [&["--scope", "s"][..], &["--audience", "a"]];
        let others = [["bind", KEPT], ["bind", TAKEN], ["unbind", TAKEN]];
        let mut pending: Vec<usize> = (0..5 + usize::from(with_logout)).collect();
        let mut started = Vec::new();
        while !pending.is_empty() {
            let chosen = self.random.below(pending.len());
            let which = pending.swap_remove(chosen);
            let running = match which {
                0 | 1 => self.start_login(logins[which]),
                2..=4 => {
                    let [verb, url] = others[which - 2];
                    self.start(&[verb, &self.name, url], None)
                }
                _ => self.start(&["logout", &self.name], None),
            };
            started.push((which, running));
            // Some begin when others have ended.
            if self.random.below(3) == 0 {
                let chosen = self.random.below(started.len());
                started[chosen].1.wait();
            }
        }
        let mut ended: Vec<_> = started
            .into_iter()
            .map(|(which, running)| (which, running.end()))
            .collect();
        ended.sort_by_key(|(which, _)| *which);
        self.check(&ended, with_logout);
        let gone = self.machine.run(&["logout", &self.name]);
        assert!([0, 3].contains(&gone.code), "{gone:?}");
        assert!(self.keychain.is_empty(), "an item is left: {ended:?}");
        let left = self.machine.files();
        assert_eq!(left, [self.machine.config().join("lock")], "{ended:?}");
    }

    fn check(&self, ended: &[(usize, Ran)], with_logout: bool) {
        for (which, ran) in ended {
            // A binding may come when the profile is gone.
            let fine: &[i32] = if *which < 2 || !with_logout {
                &[0]
            } else {
                &[0, 3]
            };
            let unbound_before = *which == 4 && ran.code == 3;
            assert!(
                fine.contains(&ran.code) || unbound_before,
                "{which} {ran:?}"
            );
        }
        let file = self.machine.config().join(format!("{}.json", self.name));
        let Ok(profile) = std::fs::read(file) else {
            assert!(with_logout, "the profile is gone: {ended:?}");
            assert!(self.keychain.is_empty(), "{ended:?}");
            return;
        };
        let profile: Value = serde_json::from_slice(&profile).expect("JSON");
        if !with_logout {
            assert_eq!(profile["scope"], "s", "{ended:?}");
            assert_eq!(profile["audience"], "a", "{ended:?}");
            let bound = profile["for"].to_string();
            assert!(bound.contains(KEPT), "{bound} {ended:?}");
        }
        let items = self.keychain.search(&[("service", "hallpass")]);
        assert_eq!(items.matches("label = ").count(), 1, "{items} {ended:?}");
        let text = |member: &str| profile[member].as_str().unwrap_or("-").to_owned();
        let token = self.machine.run(&["token", &self.name]).token();
        let wanted = format!("{}.{}", text("scope"), text("audience"));
        assert_eq!(token, wanted, "a token of another login: {ended:?}");
    }

    fn start_login(&self, more: &[&str]) -> Running {
        let url = self.server.url("/token");
        let login = ["login", &self.name, "--secret-stdin", "--token-url", &url];
        let login = [&login[..], &["--client-id", CLIENT_ID], more].concat();
        self.start(&login, Some(&self.machine.root().join("secret")))
    }

    fn start(&self, arguments: &[&str], input: Option<&Path>) -> Running {
        let mut command = self.machine.hallpass(arguments);
        if let Some(input) = input {
            command.stdin(std::fs::File::open(input).expect("the input"));
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Running(command.spawn().expect("hallpass starts"))
    }
}

struct Running(Child);

impl Running {
    fn wait(&mut self) {
        self.0.wait().expect("an end");
    }

    fn end(self) -> Ran {
        finish(self.0)
    }
}

/// Numbers that are the same in each run (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("a small number")
    }
}
