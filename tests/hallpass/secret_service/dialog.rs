//! The real dialogs of GNOME Keyring, on a display that nobody sees.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use super::{SecretService, daemon, found};

/// A display of its own, and the program that shows the dialogs of one keychain on it.
pub(crate) struct Dialogs {
    display: Child,
    prompter: Child,
    name: String,
}

impl Dialogs {
    pub(crate) fn show(service: &SecretService) -> Dialogs {
        let directory = service.directory.path();
        let mut command = daemon("Xvfb", directory, "display.log");
        command.args(["-displayfd", "1", "-screen", "0", "1024x768x24"]);
        command.args(["-nolisten", "tcp"]);
        let mut display = found("Xvfb", command.stdout(Stdio::piped()).spawn());
        let mut number = String::new();
        BufReader::new(display.stdout.take().expect("its standard output"))
            .read_line(&mut number)
            .expect("the number of the display");
        let name = format!(":{}", number.trim_end());
        let mut command = daemon("/usr/libexec/gcr-prompter", directory, "prompter.log");
        command
            .env("DBUS_SESSION_BUS_ADDRESS", &service.address)
            .env("DISPLAY", &name)
            .env("GTK_A11Y", "none")
            .env("NO_AT_BRIDGE", "1");
        let prompter = found("gcr-prompter", command.spawn());
        let dialogs = Dialogs {
            display,
            prompter,
            name,
        };
        service.wait_until("a program shows dialogs", |service| {
            let answer = service.ask(
                ["org.freedesktop.DBus", "/"],
                "org.freedesktop.DBus.NameHasOwner",
                "string:org.gnome.keyring.SystemPrompter",
            );
            answer.is_ok_and(|answer| answer.contains("true"))
        });
        dialogs
    }

    /// Waits for a dialog, and presses Escape in it until it is gone: a key that comes too early is
    /// lost.
    pub(crate) fn dismiss(&self, service: &SecretService) {
        const ATTEMPTS: usize = 10;
        let xdotool = |limit: &str, arguments: &[&str]| {
            let mut command = daemon("timeout", service.directory.path(), "xdotool.log");
            command.args([limit, "xdotool", "search"]).args(arguments);
            command.args(["--onlyvisible", "--class", "gcr-prompter"]);
            command.env("DISPLAY", &self.name);
            command
        };
        found("timeout", xdotool("30", &["--sync"]).status());
        for _ in 0..ATTEMPTS {
            let mut press = xdotool("5", &[]);
            press.args(["windowfocus", "--sync", "key", "Escape"]);
            // Where the dialog is gone before the key is released, xdotool calls that a failure.
            found("timeout", press.status());
            let is_there = found("timeout", xdotool("5", &[]).status()).success();
            if !is_there {
                return;
            }
        }
    }
}

impl Drop for Dialogs {
    fn drop(&mut self) {
        for program in [&mut self.prompter, &mut self.display] {
            // It may have ended by itself.
            let _ = program.kill();
            let _ = program.wait();
        }
    }
}
