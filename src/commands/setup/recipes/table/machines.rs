//! CI, containers and services, in alphabetical order.

use super::Tool;

pub(super) const TOOLS: &[Tool] = &[];
