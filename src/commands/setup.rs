//! `hallpass setup`: what to put where, so that a tool asks hallpass for its token. It prints the
//! text, or writes it for the user and takes exactly that back.
//! It opens neither the keychain nor the network, and knows no token.

mod json;
mod links;
mod tools;
mod write;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::binding::BoundUrl;
use crate::disk::{self, Directories};
use crate::error::{Error, Result};
use crate::profile::ProfileName;
use crate::profiles::Profiles;
use tools::TOOLS;

/// Say how a tool gets its token from hallpass, or set it up
///
/// Without a tool, lists them. `links` makes the names that hallpass has for tools that cannot run
/// `hallpass COMMAND`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The tool, or `links`
    tool: Option<String>,
    /// The profile [default: `$HALLPASS_PROFILE`, else the only one there is]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Do it, where the tool has a setting that can be changed safely
    #[arg(long)]
    write: bool,
    /// Take back what `--write` (or `links`) did
    #[arg(long, conflicts_with = "write")]
    undo: bool,
    /// Where the links are [default: beside the hallpass program]
    #[arg(long, value_name = "DIRECTORY")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, called: &OsStr) -> Result<String> {
    let Some(name) = &args.tool else {
        return Ok(tools::list());
    };
    let program = program(called)?;
    let links = match (&args.dir, program.parent()) {
        (Some(directory), _) => std::path::absolute(directory).map_err(|error| {
            Error::usage(format!("cannot use the path {}", directory.display())).because(error)
        })?,
        (None, Some(directory)) => directory.to_owned(),
        (None, None) => return Err(Error::broken("the hallpass program has no directory")),
    };
    let home = disk::home()?;
    if name == "links" {
        return links::run(&program, &links, &home, args.undo);
    }
    let tool = TOOLS.iter().find(|tool| tool.name == name).ok_or_else(|| {
        Error::usage("there is no such tool here").hint("`hallpass setup` lists them")
    })?;
    let profiles = Profiles::of(&Directories::locate()?);
    let profile = profiles.choose(args.profile.as_deref())?;
    let bindings = profiles.load(&profile)?.bindings;
    let facts = Facts {
        program,
        links,
        home,
        urls: bindings.into_iter().map(|binding| binding.url).collect(),
        profile,
    };
    if args.write || args.undo {
        write::run(tool, &facts, args.undo)
    } else {
        tool.text(&facts)
    }
}

/// What the texts are filled with.
struct Facts {
    /// The hallpass program, by its absolute path.
    program: PathBuf,
    /// The directory with its other names.
    links: PathBuf,
    home: PathBuf,
    profile: ProfileName,
    urls: Vec<BoundUrl>,
}

/// The hallpass program as it was called, rather than what a link on the way leads to: package
/// managers keep the link and change what is behind it.
fn program(called: &OsStr) -> Result<PathBuf> {
    let real = std::env::current_exe()
        .map_err(|error| Error::broken("cannot find the hallpass program").because(error))?;
    let called = Path::new(called);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates: Vec<_> = if called.components().count() > 1 {
        std::path::absolute(called).into_iter().collect()
    } else {
        let directories = std::env::split_paths(&path);
        directories
            .map(|directory| directory.join(called))
            .collect()
    };
    let is_it = |candidate: &PathBuf| {
        let found = candidate.canonicalize().ok();
        candidate.is_absolute() && found.is_some() && found == real.canonicalize().ok()
    };
    Ok(candidates.into_iter().find(is_it).unwrap_or(real))
}
