//! What needs no keychain, and yet differs from one platform to the next: files and the shell.

use std::fs;

use crate::desk::Desk;

#[test]
fn the_shell_gets_a_quoted_path_as_it_was_written() {
    let desk = Desk::without_keychain();
    let file = desk.home().join("its secret.txt");
    fs::write(&file, "s3cret & more\r\n").expect("a file");
    let print = if cfg!(windows) { "type" } else { "cat" };
    let command = format!("!{print} \"{}\"", file.display());
    desk.log_in_by_command("prod", &command).success();
    assert_eq!(desk.secrets_sent(), ["s3cret & more"]);
}
