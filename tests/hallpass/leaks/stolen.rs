//! A login from its beginning to its end, traced: the secret is in nothing that hallpass passes to the
//! system, and a copy of the home directory has neither the secret nor a token.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::trace::Trace;
use crate::cache_modes::is_sealed;
use crate::helpers::GIT;
use crate::machine::{CLIENT_ID, Machine, SECRET};
use crate::secret_service::SecretService;
use crate::server::{Reply, Request, Server};
use crate::spellings::{Content, Spellings, names, packed, spellings};
use crate::tls::Authority;

/// What replaces [`SECRET`]. It is in the keychain as it is.
const NEXT_SECRET: &str = "Next-Secret_0123456789.abcXYZ";
/// How each token begins.
const TOKEN: &str = "Issued.Token-0123456789_abcXYZ~";

/// Standard input and standard output.
const TYPED: &[(&str, Option<i32>, &str)] = &[("read", Some(0), "as it is")];
const PRINTED: &[(&str, Option<i32>, &str)] = &[("write", Some(1), "as it is")];
/// The environment of a program that gets a token in it, and what it prints.
const GIVEN: &[(&str, Option<i32>, &str)] = &[("execve", None, "as it is"), PRINTED[0]];
const NOWHERE: &[(&str, Option<i32>, &str)] = &[];

const NONE: [String; 0] = [];

struct Scene {
    keychain: SecretService,
    server: Server,
    machine: Machine,
}

impl Scene {
    fn start() -> Self {
        let authority = Authority::new();
        let identity = authority.identity(&["127.0.0.1"]);
        let count = std::sync::atomic::AtomicUsize::new(1);
        let server = Server::start_tls(&identity, move |request| {
            if request.target == "/revoke" {
                return Reply::new(200);
            }
            let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            Reply::token(&format!("{TOKEN}{number}"), 3600)
        });
        let keychain = SecretService::start();
        let mut machine = Machine::new().with_environment(keychain.environment());
        let ca = machine.private_file("ca.pem", authority.pem().as_bytes());
        let temporary = machine.root().join("tmp");
        fs::create_dir(&temporary).expect("a directory");
        machine
            .set("HALLPASS_KEYCHAIN_TIMEOUT", "60s")
            .set("SSL_CERT_FILE", ca.to_str().expect("UTF-8"))
            .set("TMPDIR", temporary.to_str().expect("UTF-8"))
            .set("RUST_LOG", "trace");
        Self {
            keychain,
            server,
            machine,
        }
    }

    fn traced(&self, arguments: &[&str], input: &str) -> Trace {
        let command = self.machine.hallpass(arguments);
        let (ran, trace) = Trace::of(&command, input.as_bytes());
        ran.success();
        trace
    }

    /// The home directory, the runtime directory, and the files of the keychain.
    fn directories(&self) -> [&Path; 2] {
        [self.machine.root(), self.keychain.directory()]
    }
}

/// What an owner of a stolen disk would look for.
struct Wanted(Vec<(&'static str, Spellings)>);

impl Wanted {
    fn find_in(&self, content: &Content, place: &str) -> Vec<String> {
        let found = self.0.iter().filter_map(|(name, spellings)| {
            let encoding = content.find(spellings)?;
            Some(format!("{place}: {name}, {encoding}"))
        });
        found.collect()
    }

    /// Looks at every file below the directory, its name, and where it leads to.
    fn find_below(&self, directory: &Path, read: fn(&[u8]) -> Content) -> Vec<String> {
        let mut found = Vec::new();
        for path in paths(directory) {
            let place = path.display().to_string();
            let name = Content::of(path.as_os_str().as_bytes());
            found.extend(self.find_in(&name, &format!("the name {place}")));
            let leads_to = fs::read_link(&path).map(|it| it.as_os_str().as_bytes().to_vec());
            // A socket cannot be read.
            let Ok(content) = leads_to.or_else(|_| fs::read(&path)) else {
                continue;
            };
            found.extend(self.find_in(&read(&content), &place));
        }
        found
    }
}

fn paths(directory: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.is_symlink() {
            paths.extend(self::paths(&path));
        }
        paths.push(path);
    }
    paths
}

#[test]
fn neither_a_trace_nor_a_stolen_home_directory_has_the_secret_or_a_sealed_token() {
    let scene = Scene::start();
    let url = scene.server.url("/token");
    let revocation = scene.server.url("/revoke");
    let login = ["login", "p", "--secret-stdin", "--no-verify"];
    let client = ["--token-url", &url, "--client-id", CLIENT_ID];
    let login = [&login[..], &client, &["--revocation-url", &revocation]].concat();
    let [old, new, token] = [SECRET, NEXT_SECRET, TOKEN].map(|it| spellings(it.as_bytes()));
    let mut wanted = Wanted(vec![("the secret", old), ("the next secret", new)]);
    let request = "protocol=https\nhost=git.example\n\n";
    let exec = ["exec", "--", "printenv", "HALLPASS_TOKEN"];
    // What has the first secret, the second one, and a token.
    let steps: [(&[&str], &str, [&[_]; 3]); 12] = [
        (&login, SECRET, [TYPED, NOWHERE, NOWHERE]),
        (&["bind", "p", "https://git.example/"], "", [NOWHERE; 3]),
        (&["token", "p"], "", [NOWHERE, NOWHERE, PRINTED]),
        (&["token", "p"], "", [NOWHERE, NOWHERE, PRINTED]),
        (GIT, request, [NOWHERE, NOWHERE, PRINTED]),
        (&["status", "--json"], "", [NOWHERE; 3]),
        (&["doctor", "p"], "", [NOWHERE; 3]),
        (
            &["rotate", "p", "--secret-stdin"],
            NEXT_SECRET,
            [NOWHERE, TYPED, NOWHERE],
        ),
        (
            &["token", "p", "--refresh", "-v"],
            "",
            [NOWHERE, NOWHERE, PRINTED],
        ),
        (&exec, "", [NOWHERE, NOWHERE, GIVEN]),
        (&["status"], "", [NOWHERE; 3]),
        (&["logout", "p"], "", [NOWHERE; 3]),
    ];
    let mut has_looked_for_tokens = false;
    for (arguments, input, [old, new, printed]) in steps {
        let is_last = arguments[0] == "logout";
        if is_last && is_sealed(&scene.machine) {
            // The files have something to look for, and it is what the searches mean.
            assert_eq!(scene.machine.entries("p").len(), 1);
            wanted.0.push(("a token", token.clone()));
            wanted.0.push((
                "the key of the cache",
                spellings(&sealing_key(&scene.machine)),
            ));
            has_looked_for_tokens = true;
        }
        if is_last {
            assert_eq!(
                scene.keychain.secret(&[("service", "hallpass")]).as_deref(),
                Some(NEXT_SECRET.as_bytes())
            );
            assert_nothing_below(&wanted, scene.directories(), Content::unpacked);
        }
        let trace = scene.traced(arguments, input);
        assert_eq!(trace.find(&wanted.0[0].1), old, "{arguments:?}");
        assert_eq!(trace.find(&wanted.0[1].1), new, "{arguments:?}");
        if has_looked_for_tokens || is_sealed(&scene.machine) {
            assert_eq!(trace.find(&token), printed, "{arguments:?}");
        }
        assert_eq!(trace.inheritable, NONE, "{arguments:?}");
        assert_nothing_below(&wanted, scene.directories(), Content::of);
    }
    // The trace was that of real requests: five for tokens, and one to revoke.
    let requests = scene.server.requests();
    let secrets = requests
        .iter()
        .filter_map(Request::basic_credentials)
        .map(|(_, secret)| secret);
    let secrets: Vec<_> = secrets.collect();
    assert_eq!(
        (secrets[0].as_str(), secrets[secrets.len() - 1].as_str()),
        (SECRET, NEXT_SECRET)
    );
    assert!(scene.keychain.is_empty());
}

#[track_caller]
fn assert_nothing_below(wanted: &Wanted, directories: [&Path; 2], read: fn(&[u8]) -> Content) {
    for directory in directories {
        let found = wanted.find_below(directory, read);
        assert!(found.is_empty(), "{found:#?}");
    }
}

/// What cached tokens are encrypted with.
fn sealing_key(machine: &Machine) -> Vec<u8> {
    let mut shell = machine.command("sh");
    shell.args(["-c", "keyctl pipe $(keyctl search @u user hallpass:cache)"]);
    let output = shell.output().expect("keyctl (Debian package: keyutils)");
    assert_eq!(output.stdout.len(), 48, "{output:?}");
    output.stdout
}

#[test]
fn the_search_of_a_home_directory_finds_every_encoding() {
    let machine = Machine::new();
    let directory = machine.home();
    let wanted = spellings(SECRET.as_bytes());
    let put = |name: &str, content: &[u8]| {
        let content = [b"before\0", content, b"\nafter"].concat();
        fs::write(directory.join(name), content).expect("a file");
    };
    for (number, (_, spelling)) in wanted.iter().enumerate() {
        put(&format!("spelling{number}"), spelling);
    }
    // A text that does not repeat itself stays as it is.
    let packed = packed(SECRET.repeat(3).as_bytes());
    for (name, stream) in &packed {
        put(name, stream);
    }
    std::os::unix::fs::symlink(format!("to {SECRET}"), directory.join("link")).expect("a link");
    let count = wanted.len() + packed.len() + 1;
    let wanted = Wanted(vec![("it", wanted)]);
    let found = wanted.find_below(&directory, Content::unpacked);
    assert_eq!(found.len(), count, "{found:#?}");
    assert!(names(SECRET.as_bytes()).len() >= 20);
    // By its name only.
    let wanted = Wanted(vec![("it", spellings(b"the-name-of-it"))]);
    assert_eq!(
        wanted.find_below(&directory, Content::of),
        Vec::<String>::new()
    );
    fs::create_dir_all(directory.join("sub/the-name-of-it")).expect("a directory");
    assert_eq!(wanted.find_below(&directory, Content::of).len(), 1);
}

#[test]
fn a_trace_finds_what_a_program_passes_on() {
    let keychain = SecretService::start();
    let machine = Machine::new().with_environment(keychain.environment());
    let wanted = spellings(SECRET.as_bytes());
    for (line, channel) in [
        ("/bin/true \"$(cat)\"", ("execve", None, "as it is")),
        ("SECRET=$(cat) /bin/true", ("execve", None, "as it is")),
        ("cat >\"$HOME/file\"", ("write", Some(1), "as it is")),
        ("base64 -w0 >\"$HOME/file\"", ("write", Some(1), "Base64")),
        // Byte by byte.
        ("dd bs=1 of=\"$HOME/file\"", ("write", Some(1), "as it is")),
        (
            "dbus-send --session --dest=org.example / org.example.Leak string:\"$(cat)\"",
            ("sendmsg", Some(3), "as it is"),
        ),
    ] {
        let mut shell = machine.command("sh");
        shell.args(["-c", line]);
        let (ran, trace) = Trace::of(&shell, SECRET.as_bytes());
        ran.success();
        let found = trace.find(&wanted);
        assert!(found.contains(&channel), "{line}: {found:?}");
        // The shell opens a file for the program that it runs.
        let is_for_another = line.contains(">\"");
        assert!(!is_for_another || trace.inheritable != NONE, "{line}");
        let (ran, trace) = Trace::of(&shell, b"nothing");
        ran.success();
        assert_eq!(trace.find(&wanted), [], "{line}");
    }
}
