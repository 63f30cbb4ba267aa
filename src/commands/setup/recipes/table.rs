//! The tools: a file for each group, and in it a row for each tool.

mod ai_clients;
mod api_clients;
mod clouds;
mod data;
mod machines;
mod packages;
mod version_control;

use super::{AsksFor, List, SettingsFile, Tool, Write};

/// Tools of one kind, under a title in the list.
pub(in crate::commands::setup) struct Group {
    pub(in crate::commands::setup) title: &'static str,
    pub(in crate::commands::setup) tools: &'static [Tool],
}

/// In the order in which they are listed.
pub(in crate::commands::setup) const GROUPS: &[Group] = &[
    Group {
        title: "Package managers and registries",
        tools: packages::TOOLS,
    },
    Group {
        title: "Version control",
        tools: version_control::TOOLS,
    },
    Group {
        title: "Clouds and clusters",
        tools: clouds::TOOLS,
    },
    Group {
        title: "Data, mail and services",
        tools: data::TOOLS,
    },
    Group {
        title: "HTTP and API clients",
        tools: api_clients::TOOLS,
    },
    Group {
        title: "AI clients",
        tools: ai_clients::TOOLS,
    },
    Group {
        title: "CI, containers and services",
        tools: machines::TOOLS,
    },
];

/// What a row has if it does not say otherwise: its settings are only printed.
pub(super) const PRINTED: Tool = Tool {
    name: "",
    programs: "",
    found_by: &[],
    feature: "",
    head: "",
    each: "",
    between: "",
    tail: "",
    list: NO_LIST,
    link: None,
    asks_for: AsksFor::Web,
    write: Write::Never,
    check: None,
};

const NO_LIST: List = List {
    open: "",
    each: "",
    between: "",
    close: "",
};

/// A file in the home directory, with no variable for it.
const HOME_FILE: SettingsFile = SettingsFile {
    variables: &[],
    below: "",
    in_home: "",
    in_config: None,
    empty_is_none: false,
};
