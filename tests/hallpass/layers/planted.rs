//! Planted violations: each must be reported, and correct code must not be.

use super::program::Program;
use super::{ALLOWED, crate_names, violations};

/// What is reported for this text as the whole of a module, in a program of otherwise empty modules.
fn reported(planted: &str, text: &str) -> Vec<String> {
    let modules = ALLOWED.iter().map(|(name, _)| *name);
    let others: Vec<_> = modules.filter(|name| *name != "main").collect();
    let root = format!("mod {};", others.join("; mod "));
    let program = Program::read(&crate_names(), |module| match module {
        [] => Some(root.clone()),
        [name] if name == planted => Some(text.to_owned()),
        _ => Some(String::new()),
    });
    violations(&program)
}

/// That exactly these modules and crates are reported.
fn assert_reported(module: &str, text: &str, used: &[&str]) {
    let reported = reported(module, text);
    for used in used {
        let start = format!("`{module}` uses `{used}`");
        assert!(
            reported.iter().any(|line| line.starts_with(&start)),
            "{text}: {reported:?}"
        );
    }
    assert_eq!(reported.is_empty(), used.is_empty(), "{text}: {reported:?}");
}

#[test]
fn a_protocol_cannot_call_the_keychain_the_token_endpoint_and_the_cache() {
    let text = "fn reply() { let secret = crate::secrets::keychain::read(); \
                crate::oauth::request(&secret); println!(\"{}\", crate::cache::store()); }";
    assert_reported("protocols", text, &["secrets", "oauth", "cache"]);
}

#[test]
fn super_is_resolved() {
    assert_reported("platform", "use super::broker;", &["broker"]);
    let nested = "mod disk { use super::super::broker::Broker; }";
    assert_reported("platform", nested, &["broker"]);
    assert_reported(
        "platform",
        "use super::*; fn f() { broker::get() }",
        &["broker"],
    );
}

#[test]
fn unsafe_code_is_found_in_every_form() {
    for text in [
        "unsafe fn f() {}",
        "fn f() { unsafe { g() } }",
        "unsafe impl Sync for X {}",
        "unsafe extern \"C\" {}",
        "trait T { unsafe fn f(); }",
        "macro_rules! m { () => { unsafe { g() } } }",
        "#[unsafe(no_mangle)] fn f() {}",
    ] {
        assert_eq!(
            reported("cache", text),
            ["`cache` has unsafe code"],
            "{text}"
        );
        assert!(reported("platform", text).is_empty(), "{text}");
    }
}

#[test]
fn an_alias_of_a_crate_is_resolved() {
    assert_reported(
        "cache",
        "use reqwest as r; fn f() { r::get() }",
        &["reqwest"],
    );
    assert_reported("cache", "extern crate reqwest as r;", &["reqwest"]);
    assert_reported("cache", "fn f() { ::reqwest::get() }", &["reqwest"]);
    assert_reported(
        "cache",
        "struct S { client: reqwest::Client }",
        &["reqwest"],
    );
}

#[test]
fn an_alias_of_our_own_crate_is_resolved() {
    let text = "use crate as c; use c::broker::TokenOptions;";
    assert_reported("cache", text, &["broker"]);
    assert_reported(
        "cache",
        "use crate as c; type T = c::broker::X;",
        &["broker"],
    );
    let passed_on = "mod inner { use crate as c; pub mod deeper { use super::c::broker; } }";
    assert_reported("cache", passed_on, &["broker"]);
}

#[test]
fn a_nested_group_is_resolved() {
    let text =
        "use crate::{error::Error, types::{token::{self, AccessToken}}, broker::{self as b}};";
    assert_reported("cache", text, &["broker"]);
    let text = "macro_rules! m { () => { use $crate::{broker::X, error}; } }";
    assert_reported("cache", text, &["broker"]);
}

#[test]
fn correct_code_is_not_reported() {
    let text = "use crate::{error::Error, platform::disk}; use crate::types as t; \
                fn url(reqwest: u8) -> Result<t::Token, Error> { let broker = reqwest; disk::read(broker) } \
                // crate::broker, unsafe\n const TEXT: &str = \"crate::broker::X\"; \
                #[cfg(test)] mod tests { use crate::broker; use reqwest::Client; }";
    assert_reported("cache", text, &[]);
}
