//! `hallpass doctor`: checks what a token depends on, and shows how to repair what is wrong.
//!
//! A check is a function with a name, in one of two tables: [`MACHINE`], and [`PROFILE`] for each
//! profile. A check returns findings, a line each. No check changes or creates a file, asks a person,
//! or waits without a limit, and no finding has a secret or a token.

mod environment;
mod expiry;
mod files;
mod links;
mod network;
mod report;
mod settings;
mod share;
mod subject;
mod tools;

use std::cell::OnceCell;
use std::time::Duration;

use super::duration;
use crate::error::{Error, Kind, Result};
use crate::message;
use crate::platform::disk::Directories;
use crate::profile::selected::SelectedProfile;
use crate::profile::{Profile, ProfileName};
use crate::profiles::{self, Profiles, from_environment, name_given};
use report::{Finding, Report};
use subject::Subject;

/// Check this machine, the profiles and the servers; show how to repair what is wrong
///
/// It changes nothing. The exit code is 0 if no check failed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Profile [default: `$HALLPASS_PROFILE`, or all profiles]
    profile: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Do not use the network, so no token is requested
    #[arg(long)]
    offline: bool,
    /// Fail if a secret, key or certificate expires within this time
    #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = duration)]
    expiring: Duration,
}

/// One check: what it is called, and how it is done.
struct Check<F> {
    name: &'static str,
    run: F,
}

type OfMachine = fn(&Machine) -> Vec<Finding>;
type OfProfile = fn(&Subject<'_>) -> Vec<Finding>;

/// The checks of this machine, in the order in which they are shown.
const MACHINE: &[Check<OfMachine>] = &[
    Check {
        name: "environment",
        run: environment::check,
    },
    Check {
        name: "settings",
        run: files::settings,
    },
    Check {
        name: "cache",
        run: files::cache,
    },
    Check {
        name: "keychain",
        run: environment::keychain,
    },
    Check {
        name: "links",
        run: links::check,
    },
    Check {
        name: "git",
        run: tools::git,
    },
    Check {
        name: "docker",
        run: tools::docker,
    },
    Check {
        name: "cargo",
        run: tools::cargo,
    },
];

/// The checks of each profile.
const PROFILE: &[Check<OfProfile>] = &[
    Check {
        name: "profile",
        run: settings::profile,
    },
    Check {
        name: "bindings",
        run: settings::bindings,
    },
    Check {
        name: "secret",
        run: settings::secret,
    },
    Check {
        name: "protection",
        run: settings::protection,
    },
    Check {
        name: "identity",
        run: settings::identity,
    },
    Check {
        name: "expiry",
        run: expiry::check,
    },
    Check {
        name: "proxy",
        run: network::proxy,
    },
    Check {
        name: "dns",
        run: network::dns,
    },
    Check {
        name: "connection",
        run: network::connection,
    },
    Check {
        name: "clock",
        run: network::clock,
    },
    Check {
        name: "token",
        run: network::token,
    },
    Check {
        name: "rotation",
        run: network::rotation,
    },
    Check {
        name: "share",
        run: share::check,
    },
    Check {
        name: "scope",
        run: network::scope,
    },
];

pub(crate) fn run(args: &Args, print: &dyn Fn(&str) -> Result<()>) -> Result<String> {
    let machine = Machine::look(args)?;
    let mut report = Report::default();
    for check in MACHINE {
        report.add(None, check.name, (check.run)(&machine));
    }
    // A section is printed when it is done: a server may take its time.
    let show = |report: &Report, profile| {
        if args.json {
            return Ok(());
        }
        print(&report.section(profile))
    };
    show(&report, None)?;
    for (name, loaded) in &machine.found {
        match loaded {
            Ok(profile) => {
                let subject = Subject::new(&machine, name, profile);
                for check in PROFILE {
                    report.add(Some(name), check.name, (check.run)(&subject));
                }
            }
            Err(error) => {
                report.add(Some(name), PROFILE[0].name, vec![Finding::of(error)]);
                let why = "the profile cannot be read";
                report.add(Some(name), "rest", vec![Finding::skipped(why)]);
            }
        }
        show(&report, Some(name))?;
    }
    if machine.found.is_empty() && !args.json {
        message::note("no profiles yet");
        message::hint("run `hallpass login` to create one");
    }
    if args.json {
        print(&report.json())?;
    }
    report.verdict().map(|()| String::new())
}

/// What the checks of this machine look at.
struct Machine {
    offline: bool,
    expiring: Duration,
    directories: Directories,
    /// Why nobody knows where the files are.
    unknown_home: Option<Error>,
    profiles: Profiles,
    /// The profile that the environment describes, if it does.
    described: Result<Option<SelectedProfile>>,
    /// The profiles to check.
    found: Vec<(ProfileName, Result<Profile>)>,
    keychain: OnceCell<Option<Result<Duration>>>,
}

impl Machine {
    fn look(args: &Args) -> Result<Self> {
        let one = name_given(args.profile.as_deref())?;
        let described = match &one {
            Some(_) => Ok(None),
            None => from_environment(),
        };
        // Without them, the other checks still have something to say.
        let (directories, unknown_home) = match profiles::directories() {
            Ok(directories) => (directories, None),
            Err(error) => (Directories::nowhere(), Some(error)),
        };
        let profiles = Profiles::of(&directories);
        let is_named = one.is_some();
        let names = match one {
            Some(name) => vec![name],
            // The settings' check says why there are none.
            None => profiles.names().unwrap_or_default(),
        };
        let names = names.into_iter();
        let mut found: Vec<_> = names.map(|name| (profiles.load(&name), name)).collect();
        if is_named
            && let Some((Err(error), _)) =
                found.pop_if(|(it, _)| matches!(it, Err(error) if error.kind == Kind::NotFound))
        {
            return Err(error);
        }
        if let Ok(Some(described)) = &described {
            let SelectedProfile { name, profile, .. } = described.clone();
            found.insert(0, (Ok(profile), name));
        }
        Ok(Self {
            offline: args.offline,
            expiring: args.expiring,
            directories,
            unknown_home,
            profiles,
            described,
            found: found
                .into_iter()
                .map(|(profile, name)| (name, profile))
                .collect(),
            keychain: OnceCell::new(),
        })
    }

    /// The profiles that can be read.
    fn readable(&self) -> impl Iterator<Item = (&ProfileName, &Profile)> {
        let found = self.found.iter();
        found.filter_map(|(name, profile)| Some((name, profile.as_ref().ok()?)))
    }
}
