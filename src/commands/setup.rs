//! `hallpass setup`: settings that make a tool get its token from hallpass. They are printed, or
//! written, and exactly what was written is removed again. No keychain or network is used.

mod all;
mod check;
pub(super) mod escape;
mod file;
mod go;
mod json;
mod lines;
mod links;
mod mcp;
mod members;
mod recipes;
mod record;
mod share;
mod template;
mod unmarked;
mod variables;
mod write;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;

use crate::error::{Error, Result};
use crate::message;
use crate::platform::disk::{self, Directories};
use crate::profile::ProfileName;
use crate::profile::binding::Binding;
use crate::profiles::{Profiles, name_given};
use recipes::Tool;
use record::Record;
use variables::Variables;

/// Show a tool's configuration, or write it
///
/// Without a tool, lists the tools. `all` shows which of them this machine has, and the command for each.
/// `links` creates the program names that some tools look for. `mcp` shows how a client uses an MCP server
/// with the profile's tokens. `share` shows what the server of a shared cache needs.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  hallpass setup all            # the tools of this machine\n  hallpass setup git            # show the lines\n  hallpass setup git --write    # add them to your settings\n  hallpass setup git --undo     # remove them again\n  hallpass setup mcp linear --client codex"
)]
pub(crate) struct Args {
    /// Tool, `all`, `links`, `mcp` or `share`
    tool: Option<String>,
    /// Profile, for `mcp`
    #[arg(value_name = "PROFILE", conflicts_with = "profile")]
    mcp_profile: Option<String>,
    /// Client of the MCP server, for `mcp`
    #[arg(long, value_name = "CLIENT", value_parser = PossibleValuesParser::new(mcp::clients()))]
    client: Option<String>,
    /// Profile [default: `$HALLPASS_PROFILE`, or the only profile; with `--undo`, all profiles]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Write the configuration (supported tools only)
    #[arg(long)]
    write: bool,
    /// Remove what `--write` (or `links`) added
    #[arg(long, conflicts_with = "write")]
    undo: bool,
    /// Directory of the links [default: next to the hallpass program]
    #[arg(long, value_name = "DIRECTORY")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, called: &OsStr) -> Result<String> {
    args.check()?;
    let Some(name) = &args.tool else {
        return Ok(recipes::list());
    };
    if name == "links" {
        return links(args, called);
    }
    if name == share::NAME {
        return share::text(args.profile());
    }
    if name == all::NAME {
        return all_tools(args, called);
    }
    let tool = find(name, args)?;
    if args.undo {
        return undo(args, tool);
    }
    let directories = Directories::locate()?;
    let facts = Facts::of_profile(args, called, &directories)?;
    let text = if args.write {
        tool.check_bearer(&facts)?;
        write::write(tool, &facts, &mut Record::open(&directories)?)?;
        check::run(tool, &facts)?;
        String::new()
    } else {
        tool.text(&facts)?
    };
    if let Some(note) = tool.left_out(&facts) {
        message::note(&note);
    }
    Ok(text)
}

impl Args {
    fn profile(&self) -> Option<&str> {
        self.mcp_profile.as_deref().or(self.profile.as_deref())
    }

    /// Only an MCP client is a client, and only its profile is an argument.
    fn check(&self) -> Result<()> {
        if self.tool.as_deref() == Some(mcp::NAME) {
            return Ok(());
        }
        if self.mcp_profile.is_some() {
            return Err(
                Error::usage("unexpected argument (hallpass setup takes one tool)")
                    .hint("name the profile with --profile NAME"),
            );
        }
        if self.client.is_some() {
            return Err(Error::usage("--client needs mcp")
                .hint("hallpass setup mcp PROFILE --client CLIENT"));
        }
        Ok(())
    }
}

/// The links that `hallpass setup` made.
///
/// # Errors
/// Why the record cannot be read.
pub(super) fn recorded_links(directories: &Directories) -> Result<Vec<PathBuf>> {
    Ok(record::content(directories)?.links.into_keys().collect())
}

pub(super) use links::file_name as link_file_name;

/// What `hallpass setup` takes as its first argument, and what each is for.
pub(super) fn names() -> impl Iterator<Item = (&'static str, String)> {
    let tools = recipes::tools().map(|tool| (tool.name, tool.about()));
    let others = recipes::OTHERS.map(|(name, about)| (name, about.to_owned()));
    tools.chain(others)
}

fn find(name: &str, args: &Args) -> Result<&'static Tool> {
    if name == mcp::NAME {
        return mcp::find(args.client.as_deref());
    }
    let tool = recipes::tools().find(|tool| tool.name == name);
    tool.ok_or_else(|| Error::usage("unknown tool").hint("`hallpass setup` lists them"))
}

fn links(args: &Args, called: &OsStr) -> Result<String> {
    let mut record = Record::open(&Directories::locate()?)?;
    if args.undo {
        links::undo_all(&mut record)?;
        record.remove_directories();
        record.save()?;
    } else {
        links::make_all(&Facts::without_profile(args, called)?, &mut record)?;
    }
    Ok(String::new())
}

fn all_tools(args: &Args, called: &OsStr) -> Result<String> {
    if args.write {
        return Err(Error::usage("--write needs one tool")
            .hint("`hallpass setup all` shows the command for each tool"));
    }
    let directories = Directories::locate()?;
    if args.undo {
        let profile = name_given(args.profile())?;
        let profile = profile.as_ref().map(ProfileName::as_str);
        all::undo(profile, &disk::home()?, &mut Record::open(&directories)?)?;
        return Ok(String::new());
    }
    let facts = Facts::of_profile(args, called, &directories)?;
    Ok(all::show(&facts, &record::content(&directories)?))
}

/// Needs no profile: the record has what was written, and a logout may have come in between.
fn undo(args: &Args, tool: &Tool) -> Result<String> {
    let profile = name_given(args.profile())?;
    let profile = profile.as_ref().map(ProfileName::as_str);
    let mut record = Record::open(&Directories::locate()?)?;
    write::undo(tool, profile, &disk::home()?, &mut record)?;
    Ok(String::new())
}

/// The values that templates are filled with.
struct Facts {
    /// The absolute path of the hallpass program.
    program: String,
    /// The directory of the links to it, and whether the user chose that.
    links: PathBuf,
    links_chosen: bool,
    home: Option<PathBuf>,
    /// None for the profile from the environment.
    profile: Option<ProfileName>,
    /// The user named the profile, so every setting that can names it too.
    named: bool,
    bindings: Vec<Binding>,
    /// Its name, if no tool can use its tokens.
    bound_to_key: Option<ProfileName>,
    /// They describe the profile elsewhere.
    variables: Variables,
}

impl Facts {
    fn of_profile(args: &Args, called: &OsStr, directories: &Directories) -> Result<Self> {
        let found = Profiles::of(directories).find(args.profile())?;
        let is_stored = !found.name.is_from_environment();
        Ok(Self {
            named: is_stored && name_given(args.profile())?.is_some(),
            variables: Variables::of(&found.name, &found.profile),
            bound_to_key: found.profile.dpop.as_ref().map(|_| found.name.clone()),
            profile: is_stored.then_some(found.name),
            bindings: found.profile.bindings,
            ..Self::without_profile(args, called)?
        })
    }

    fn without_profile(args: &Args, called: &OsStr) -> Result<Self> {
        let program = program(called)?;
        let home = disk::home().ok();
        let links = match (&args.dir, program.parent()) {
            (Some(directory), _) => std::path::absolute(directory).map_err(|error| {
                Error::usage(format!("cannot use the path {}", directory.display())).because(error)
            })?,
            (None, Some(directory)) => links::default_directory(directory, home.as_deref()),
            (None, None) => return Err(Error::broken("the hallpass program has no directory")),
        };
        Ok(Self {
            program: shown(&program)?,
            links,
            links_chosen: args.dir.is_some(),
            home,
            profile: None,
            named: false,
            bindings: Vec::new(),
            bound_to_key: None,
            variables: Variables::default(),
        })
    }

    fn home(&self) -> Result<&Path> {
        self.home.as_deref().ok_or_else(disk::unknown_home)
    }

    /// pnpm needs a path that a shell reads without quotes.
    fn pnpm_link(&self) -> Result<PathBuf> {
        let suffix = self.profile.as_ref().map(|name| format!("-{name}"));
        let name = format!("pnpm-tokenhelper-hallpass{}", suffix.unwrap_or_default());
        let link = links::path(&name, self);
        if self.links_chosen || escape::is_plain_path(&shown(&link)?) {
            return Ok(link);
        }
        Ok(self
            .home()?
            .join(".local/bin")
            .join(links::file_name(&name)))
    }
}

/// A path for a tool's settings.
///
/// # Errors
/// `Usage` for a path with a control character, or one that is not Unicode.
fn shown(path: &Path) -> Result<String> {
    let text = path
        .to_str()
        .filter(|text| !text.contains(char::is_control));
    text.map(str::to_owned).ok_or_else(|| {
        let fault = "has characters that cannot be written into settings";
        Error::usage(format!("the path {} {fault}", path.display()))
            .hint("run hallpass through a link in another directory")
    })
}

/// A path as a message shows it.
pub(super) fn tilde(path: &Path) -> String {
    let home = disk::home().ok();
    match home.and_then(|home| path.strip_prefix(home).ok().map(Path::to_owned)) {
        Some(below) => Path::new("~").join(below).display().to_string(),
        None => path.display().to_string(),
    }
}

/// The hallpass program as it was called, without following links: package managers keep a link and
/// change its target.
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
