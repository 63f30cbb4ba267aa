//! `hallpass help`: the manual, from the program itself. `hallpass version`: which program it is.

mod roff;

use crate::error::{Error, Result};
use crate::platform;
use crate::secrets::keychain;
use roff::Page;

/// The manual pages: the names that `help` knows them by, and their source.
const PAGES: &[(&str, &str)] = &[
    ("manual", include_str!("../../man/hallpass.1")),
    ("helpers", include_str!("../../man/hallpass-helpers.1")),
    ("contract", include_str!("../../man/hallpass-contract.5")),
];

/// Sections of the manual that are no topics, because other output shows them, or they say little.
const NO_TOPICS: &[&str] = &[
    "name",
    "synopsis",
    "description",
    "options",
    "commands",
    "see-also",
];

/// The most columns of a paragraph: longer lines are hard to read.
const WIDEST: usize = 100;

const USUAL_WIDTH: usize = 80;

/// Show the manual of a command or a topic
///
/// Without one, lists the commands and topics.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Command, helper or topic
    #[arg(value_name = "TOPIC")]
    topic: Vec<String>,
}

/// `overview` is the help of the whole program.
pub(crate) fn run(args: &Args, overview: &str) -> Result<String> {
    let topic = args.topic.join("-").to_lowercase().replace('_', "-");
    let topic = topic.strip_prefix("hallpass-").unwrap_or(&topic);
    let screen = platform::screen();
    let width = screen.map_or(USUAL_WIDTH, |screen| screen.width.min(WIDEST));
    let has_color = screen.is_some_and(|screen| screen.has_color);
    if args.topic.is_empty() {
        let topics = Page::of(&topics().join(", ")).text(width, false);
        return Ok(format!(
            "{overview}\nThe manual: hallpass help COMMAND, or one of these topics:\n{topics}"
        ));
    }
    let source = find(topic).ok_or_else(|| {
        Error::usage("unknown help topic").hint("`hallpass help` lists the commands and topics")
    })?;
    Ok(Page::of(&source).text(width, has_color))
}

/// The part of the manual about a topic.
fn find(topic: &str) -> Option<String> {
    if let Some((_, page)) = PAGES.iter().find(|(name, _)| *name == topic) {
        return Some((*page).to_owned());
    }
    let topic = match topic {
        "exit-codes" => "exit-status",
        "formats" => "token",
        topic => topic,
    };
    let command = ["hallpass-", topic].concat();
    PAGES.iter().find_map(|(_, page)| {
        let sections = roff::sections(page);
        let named = sections.iter().find(|section| {
            let name = section.name();
            // A helper's name is followed by its arguments.
            name == topic || name == command || name.starts_with(&[topic, "-get"].concat())
        });
        named.map(|section| section.source.clone())
    })
}

/// The topics, besides commands: the pages, and the sections of the manual.
pub(crate) fn topics() -> Vec<String> {
    let (_, manual) = PAGES[0];
    let sections = roff::sections(manual).into_iter();
    let sections = sections
        .filter(|section| section.is_top)
        .map(|it| it.name());
    let sections = sections.filter(|name| !NO_TOPICS.contains(&name.as_str()));
    let pages = PAGES.iter().map(|(name, _)| (*name).to_owned());
    pages.chain(sections).collect()
}

/// Show the version, the commit, the target and the keychain of this program
#[derive(Debug, clap::Args)]
pub(crate) struct VersionArgs {}

pub(crate) fn version() -> String {
    format!(
        "hallpass {}\ncommit    {}\ntarget    {}\nkeychain  {}\n",
        env!("CARGO_PKG_VERSION"),
        env!("BUILD_COMMIT"),
        env!("BUILD_TARGET"),
        keychain::NAME
    )
}
