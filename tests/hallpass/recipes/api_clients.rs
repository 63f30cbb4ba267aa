//! HTTP and API clients.

use super::{AWKWARD, QUOTES, Recipe};
use crate::clients::Demands;
use crate::server::Reply;

#[test]
fn curl_takes_the_token_from_the_pipe() {
    let hello = |_: &_| Reply::new(200).body("hello");
    for directory in [AWKWARD, QUOTES] {
        for recipe in Recipe::each("curl", directory, "/it's;here/", Demands::Bearer, hello) {
            let lines = recipe.text.replace("curl -K", "curl -sSf -K");
            let printed = recipe.shell("sh", &lines).success().stdout;
            assert_eq!(printed, "hello".repeat(recipe.urls("/").len()));
            recipe.used_one_token();
        }
    }
}

#[test]
fn wget_asks_the_askpass_program() {
    let hello = |_: &_| Reply::new(200).body("hello");
    for recipe in Recipe::each("wget", AWKWARD, "/", Demands::Basic, hello) {
        recipe.setup(AWKWARD, &["links"]);
        let lines = recipe.text.replace("wget ", "wget -q -O - ");
        let printed = recipe.shell("sh", &lines).success().stdout;
        assert_eq!(printed, "hello".repeat(recipe.urls("/").len()));
        recipe.used_one_token();
    }
}
