//! Directories: their owners and modes, and where they are.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use super::{
    assert_one_warning, directories, log_in_as_ordinary_user, logged_in, login_command, picture,
    set_mode, write,
};
use crate::machine::{CLIENT_ID, Machine, Ran, SECRET, numbered_tokens};
use crate::server::Server;
use crate::support::{
    after_shell, as_ordinary_user, give_to_ordinary_user, is_root, machine_of_ordinary_user, ran,
};

// Directories that cannot be written.

type Obstacle = (&'static str, fn(&Machine));

#[test]
fn a_cache_that_cannot_be_written_costs_a_warning() {
    let rows: [Obstacle; 6] = [
        ("the profile's directory is read-only", |machine| {
            set_mode(&machine.cache().join("prod"), 0o500);
        }),
        ("the cache directory is read-only", |machine| {
            fs::remove_dir_all(machine.cache().join("prod")).expect("no directory");
            set_mode(&machine.cache(), 0o500);
        }),
        ("the directory above is read-only", |machine| {
            fs::remove_dir_all(machine.cache()).expect("no directory");
            set_mode(&machine.home().join(".cache"), 0o500);
        }),
        (
            "a file is in the place of the profile's directory",
            |machine| {
                fs::remove_dir_all(machine.cache().join("prod")).expect("no directory");
                fs::write(machine.cache().join("prod"), "").expect("a file");
            },
        ),
        ("a file is in the place of the cache directory", |machine| {
            fs::remove_dir_all(machine.cache()).expect("no directory");
            fs::write(machine.cache(), "").expect("a file");
        }),
        ("the cache directory leads nowhere", |machine| {
            fs::remove_dir_all(machine.cache()).expect("no directory");
            symlink(machine.root().join("nowhere"), machine.cache()).expect("a link");
        }),
    ];
    for (what, damage) in rows {
        let machine = machine_of_ordinary_user();
        let server = Server::start(numbered_tokens());
        log_in_as_ordinary_user(&machine, &server).success();
        damage(&machine);
        let before = picture(&machine.home());
        for number in 2..4 {
            let command = machine.hallpass(&["token", "prod", "--refresh"]);
            let printed = ran(as_ordinary_user(&command)).success();
            assert_eq!(printed.stdout, format!("token-{number}\n"), "{what}");
            assert_one_warning(&printed);
        }
        assert_eq!(picture(&machine.home()), before, "{what}");
        for directory in directories(&machine.home()) {
            set_mode(&directory, 0o700);
        }
    }
}

#[test]
fn nothing_is_written_into_a_directory_of_another_user() {
    // Only the superuser can give a directory away. For others, `/` stands for one.
    let foreign = |machine: &Machine, path: &Path| {
        let _ = fs::remove_dir_all(path);
        if is_root() {
            fs::create_dir(path).expect("a directory");
            give_to_ordinary_user(path);
            set_mode(path, 0o777);
        } else {
            symlink("/", path).expect("a link");
        }
        assert!(path.starts_with(machine.home()));
    };
    let places: [fn(&Machine) -> PathBuf; 2] =
        [Machine::cache, |machine| machine.cache().join("prod")];
    for place in places {
        let (machine, _server) = logged_in();
        foreign(&machine, &place(&machine));
        let before = picture(&machine.home());
        for number in 2..4 {
            let printed = machine.run(&["token", "prod"]).success();
            assert_eq!(printed.stdout, format!("token-{number}\n"));
            assert_one_warning(&printed);
        }
        assert_eq!(picture(&machine.home()), before);
    }
    let (machine, server) = logged_in();
    foreign(&machine, &machine.config());
    let before = picture(&machine.home());
    login_attempt(&machine, &server).failure(1);
    assert_eq!(picture(&machine.home()), before);
}

#[test]
fn a_cache_directory_may_be_a_link_to_another_of_the_same_user() {
    let (machine, server) = logged_in();
    for directory in [machine.cache(), machine.config()] {
        let moved = machine
            .root()
            .join(directory.parent().expect("one").file_name().expect("one"));
        fs::rename(&directory, &moved).expect("moved");
        symlink(&moved, &directory).expect("a link");
    }
    assert_eq!(machine.run(&["token", "prod"]).token(), "token-1");
    assert_eq!(
        machine.run(&["token", "prod", "--refresh"]).token(),
        "token-2"
    );
    machine.login("prod", &server, &[]);
    machine.run(&["logout", "prod"]).success();
}

#[test]
fn a_cache_that_others_may_write_is_made_private() {
    let (machine, server) = logged_in();
    let directories = [machine.cache(), machine.cache().join("prod")];
    for mode in [0o777, 0o1777, 0o770, 0o720] {
        for directory in &directories {
            set_mode(directory, mode);
        }
        machine.login("prod", &server, &[]);
        for directory in &directories {
            assert_eq!(mode_of(directory), 0o700, "{}", directory.display());
        }
    }
    for directory in &directories {
        set_mode(directory, 0o777);
    }
    machine.run(&["token", "prod", "--refresh"]).success();
    for directory in &directories {
        assert_eq!(mode_of(directory), 0o700, "{}", directory.display());
    }
}

#[test]
fn settings_that_others_may_change_are_refused_with_the_command_that_closes_them() {
    let (machine, server) = logged_in();
    let requests = server.requests().len();
    let secret = machine.root().join("secret");
    let secret = secret.to_str().expect("a path in UTF-8");
    let url = server.url("/oauth/token");
    let config = machine.config();
    for mode in [0o777, 0o1777, 0o770, 0o720, 0o702] {
        set_mode(&config, mode);
        for arguments in [
            &["token", "prod", "--refresh"][..],
            &["token", "prod", "--scope", "x"],
            &["bind", "prod", "https://a.example"],
            &["logout", "prod"],
            &[
                "login",
                "prod",
                "--token-url",
                &url,
                "--client-id",
                "c",
                "--secret-file",
                secret,
                "--no-verify",
                "--replace",
            ],
        ] {
            let ran = machine.run(arguments).failure(2);
            let hint = format!("hallpass: hint: run: chmod go-w {}\n", config.display());
            assert!(ran.stderr.contains(&hint), "{ran:?}");
        }
        assert_eq!(mode_of(&config), mode, "nothing is changed without asking");
    }
    assert_eq!(server.requests().len(), requests);
    // As the hint says.
    set_mode(&config, 0o755);
    machine.run(&["token", "prod", "--refresh"]).success();
}

#[test]
fn files_are_private_whatever_the_umask() {
    for umask in ["000", "022", "077", "777"] {
        let machine = Machine::new();
        let server = Server::start(numbered_tokens());
        let secret = machine.private_file("secret", SECRET.as_bytes());
        let url = server.url("/oauth/token");
        let login = [
            "login",
            "prod",
            "--token-url",
            &url,
            "--client-id",
            CLIENT_ID,
            "--secret-file",
            secret.to_str().expect("a path"),
        ];
        let run = |arguments: &[&str]| {
            let command = machine.hallpass(arguments);
            ran(after_shell(&format!("umask {umask}"), &command)).success()
        };
        run(&login);
        run(&["token", "prod", "--refresh"]);
        run(&["token", "prod", "--scope", "USER"]);
        let files = machine.files();
        assert!(files.len() >= 6, "{files:?}");
        for file in files {
            assert_eq!(mode_of(&file), 0o600, "umask {umask}: {}", file.display());
        }
        for directory in directories(&machine.home()).iter().skip(1) {
            assert_eq!(
                mode_of(directory),
                0o700,
                "umask {umask}: {}",
                directory.display()
            );
        }
    }
}

#[test]
fn only_a_profile_with_a_higher_format_number_is_said_to_need_an_update() {
    let newer = &[
        "was written by a newer version of hallpass",
        "hint: update hallpass\n",
    ];
    let foreign = &[
        "is not a profile of hallpass",
        "hint: run `hallpass login prod",
    ];
    let (machine, _server) = logged_in();
    let path = machine.config().join("prod.json");
    let profile = fs::read_to_string(&path).expect("the profile");
    for (format, expected) in [
        ("2", newer),
        ("4294967296", newer),
        ("0", foreign),
        ("-1", foreign),
        ("1.5", foreign),
        ("\"2\"", foreign),
        ("null", foreign),
    ] {
        let edited = profile.replace("\"format\": 1", &format!("\"format\": {format}"));
        for content in [edited, format!("{{\"format\": {format}, \"clients\": []}}")] {
            write(&path, content.as_bytes());
            let refused = machine.run(&["token", "prod"]).failure(2);
            for part in expected {
                assert!(refused.stderr.contains(part), "{format}: {refused:?}");
            }
        }
    }
}

// The home directory.

#[test]
fn without_a_home_directory_there_is_a_clean_message_and_nothing_is_made() {
    let (machine, server) = logged_in();
    let here = machine.root().join("here");
    fs::create_dir(&here).expect("a directory");
    fs::write(machine.root().join("file"), "").expect("a file");
    let file = machine.root().join("file").display().to_string();
    let missing = machine.root().join("missing").display().to_string();
    let before = picture(machine.root());
    // A name that nobody has: without HOME, the user's real home directory may be looked into.
    let name = "no-such-profile-of-hallpass-tests";
    let variables: [&[(&str, &str)]; 9] = [
        &[],
        &[("HOME", "")],
        &[("HOME", "home")],
        &[("HOME", ".")],
        &[("HOME", &file)],
        &[("HOME", &missing)],
        &[("HOME", "/dev/null")],
        &[
            ("HOME", "home"),
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_CACHE_HOME", "cache"),
        ],
        &[
            ("HOME", ""),
            ("XDG_CONFIG_HOME", ""),
            ("XDG_CACHE_HOME", "."),
        ],
    ];
    for variables in variables {
        for verb in ["token", "status"] {
            let mut command = machine.hallpass(&[verb, name]);
            command.current_dir(&here).env_remove("HOME");
            command.envs(variables.iter().copied());
            let output = ran(command);
            // Below a file, nothing can be read. A relative home is a mistake of the environment.
            let is_absolute = variables.iter().any(|(_, value)| value.starts_with('/'));
            let codes = if is_absolute { [1, 3] } else { [2, 3] };
            assert!(codes.contains(&output.code), "{variables:?}: {output:?}");
            let code = output.code;
            output.failure(code);
            assert_eq!(picture(machine.root()), before, "{variables:?}");
        }
    }
    let secret = machine.root().join("secret").display().to_string();
    let url = server.url("/oauth/token");
    // A relative home is a mistake of the environment; below a file, nothing can be written.
    for (home, code) in [("home", 2), (".", 2), (&*file, 1), ("/dev/null", 1)] {
        let mut command = machine.hallpass(&["login", name, "--token-url", &url]);
        command.args(["--client-id", "x", "--secret-file", &secret]);
        command.current_dir(&here).env("HOME", home);
        ran(command).failure(code);
        assert_eq!(picture(machine.root()), before, "{home}");
    }
}

#[test]
fn relative_xdg_directories_are_ignored_and_absolute_ones_obeyed() {
    let (mut machine, _server) = logged_in();
    let here = machine.root().join("here");
    fs::create_dir(&here).expect("a directory");
    for directory in ["config", "", ".", "../home"] {
        let mut command = machine.hallpass(&["token", "prod", "--refresh"]);
        command
            .current_dir(&here)
            .env("XDG_CONFIG_HOME", directory)
            .env("XDG_CACHE_HOME", directory);
        ran(command).success();
        assert_eq!(picture(&here).len(), 1, "{directory:?}");
    }
    let elsewhere = machine.root().join("elsewhere");
    fs::rename(machine.home().join(".config"), &elsewhere).expect("moved");
    machine.set("XDG_CONFIG_HOME", elsewhere.to_str().expect("a path"));
    let cached = machine.root().join("cached");
    machine.set("XDG_CACHE_HOME", cached.to_str().expect("a path"));
    machine.run(&["token", "prod"]).success();
    assert!(cached.join("hallpass/prod").is_dir());
}

fn login_attempt(machine: &Machine, server: &Server) -> Ran {
    machine.private_file("secret", SECRET.as_bytes());
    ran(login_command(machine, server))
}

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").mode() & 0o7777
}
