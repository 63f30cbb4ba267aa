//! The fuzz targets: each gives arbitrary bytes to the parsers of one kind of input, and checks what must
//! hold for every input. `tests/fuzz/run` fuzzes them, and the tests below run the inputs in
//! `tests/parsers/corpus`.
//!
//! The functions are in `tests/parsers`, in files that the modules which they test include as `fuzz`.

#[path = "parsers/types.rs"]
mod types;

macro_rules! targets {
    ($($name:ident => $function:path,)*) => {
        #[cfg(test)]
        const TARGETS: &[(&str, fn(&[u8]))] = &[$((stringify!($name), $function),)*];

        $(
            #[cfg(fuzzing)]
            pub fn $name(bytes: &[u8]) {
                $function(bytes);
            }
        )*
    };
}

targets! {
    askpass => crate::protocols::fuzz::askpass,
    bazel => crate::protocols::fuzz::bazel,
    cache_entry => crate::cache::fuzz::entry,
    cargo => crate::protocols::fuzz::cargo,
    challenge => crate::oauth::fuzz::challenge,
    docker => crate::protocols::fuzz::docker,
    git => crate::protocols::fuzz::git,
    goauth => crate::protocols::fuzz::goauth,
    google => crate::protocols::fuzz::google,
    jsonrpc => crate::commands::mcp::fuzz::messages,
    jwt => types::jwt,
    key => crate::oauth::fuzz::key,
    keyring => crate::protocols::fuzz::keyring,
    kubectl => crate::protocols::fuzz::kubectl,
    metadata => crate::oauth::fuzz::metadata,
    pnpm => crate::protocols::fuzz::pnpm,
    policy => crate::policy::fuzz::policy,
    profile => crate::profiles::fuzz::profile,
    profile_name => types::profile_name,
    response => crate::oauth::fuzz::response,
    serve => crate::commands::serve::fuzz::request,
    terraform => crate::protocols::fuzz::terraform,
    url => types::url,
    values => types::values,
}

/// Fails if the text could do harm in a terminal or in a protocol of lines.
pub(crate) fn assert_clean(text: &str) {
    assert!(!text.contains(char::is_control), "{text:?}");
}

/// The text before the first line end, and the rest.
pub(crate) fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let end = end.unwrap_or(bytes.len());
    (&bytes[..end], bytes.get(end + 1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::TARGETS;

    const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/parsers/corpus");
    /// A package of its own, which is not in the one of the program.
    const FUZZ: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz");

    #[test]
    fn every_input_of_the_corpus_passes() {
        for (name, target) in TARGETS {
            let corpus = Path::new(CORPUS).join(name);
            let files = fs::read_dir(&corpus).unwrap_or_else(|_| panic!("{}", corpus.display()));
            let mut count = 0;
            for file in files {
                let bytes = fs::read(file.expect("an entry").path()).expect("an input");
                target(&bytes);
                // Parts and small changes of an input reach more than the input does.
                for end in (0..bytes.len()).step_by(bytes.len() / 16 + 1) {
                    target(&bytes[..end]);
                    let mut changed = bytes.clone();
                    changed[end] ^= 1 << (end % 8);
                    target(&changed);
                }
                count += 1;
            }
            assert!(count > 0, "{name} has no input");
        }
        let folders = fs::read_dir(CORPUS).expect("a folder");
        assert_eq!(folders.count(), TARGETS.len(), "a folder for each target");
    }

    #[test]
    fn every_target_can_be_fuzzed_with_the_crates_of_the_program() {
        let folder = Path::new(FUZZ);
        let Ok(manifest) = fs::read_to_string(folder.join("Cargo.toml")) else {
            return;
        };
        for (name, _) in TARGETS {
            let file = folder.join("fuzz_targets").join(name);
            let code = fs::read_to_string(file.with_extension("rs")).expect("a target");
            assert!(code.contains(&format!("fuzz::{name}(bytes)")), "{code}");
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        }
        let program = include_str!("../Cargo.toml");
        let (_, dependencies) = program.split_once("[dependencies]").expect("a section");
        let (dependencies, _) = dependencies.split_once("[dev-dep").expect("an end");
        for line in dependencies.lines().filter(|line| line.contains(" = ")) {
            assert!(
                manifest.contains(line),
                "{line} is not in tests/fuzz/Cargo.toml"
            );
        }
    }
}
