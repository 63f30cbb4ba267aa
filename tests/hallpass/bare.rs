//! Programs without a C library, which cost next to nothing themselves: built from `tests/NAME.c`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// None where the compiler cannot: they are written for Linux on `x86_64` and `aarch64`.
pub(crate) fn build(name: &str, directory: &Path) -> Option<PathBuf> {
    let source = format!("{}/tests/{name}.c", env!("CARGO_MANIFEST_DIR"));
    let program = directory.join(name);
    let mut compiler = Command::new("cc");
    compiler.args(["-O2", "-static", "-nostdlib", "-ffreestanding", "-o"]);
    compiler.arg(&program).arg(source).stderr(Stdio::null());
    compiler
        .status()
        .is_ok_and(|status| status.success())
        .then_some(program)
}
