//! The main job, with a real keychain: log in, have tokens, look, log out.

use crate::machine::{CLIENT_ID, Machine, SECRET, numbered_tokens};
use crate::secret_service::SecretService;
use crate::server::Server;

fn log_in(machine: &Machine, server: &Server) {
    let url = server.url("/oauth/token");
    let arguments = [
        "login",
        "prod",
        "--token-url",
        &url,
        "--client-id",
        CLIENT_ID,
        "--secret-stdin",
    ];
    let ran = machine
        .run_with_input(&arguments, format!("{SECRET}\n").as_bytes())
        .success();
    assert_eq!(ran.stdout, "");
}

#[test]
fn one_login_gives_tokens_until_logout() {
    let keychain = SecretService::start();
    let machine = Machine::new().with_environment(keychain.environment());
    let server = Server::start(numbered_tokens());

    log_in(&machine, &server);
    assert_eq!(server.requests().len(), 1);
    let listed = keychain.search(&[("service", "hallpass")]);
    assert!(
        listed.contains("label = hallpass client secret (prod)"),
        "{listed}"
    );

    assert_eq!(machine.run(&["token"]).token(), "token-1");
    assert_eq!(machine.run(&["token", "prod"]).token(), "token-1");
    assert_eq!(
        server.requests().len(),
        1,
        "two cached tokens cost no request"
    );
    assert_eq!(machine.run(&["token", "--refresh"]).token(), "token-2");
    assert_eq!(server.requests().len(), 2);
    assert_eq!(machine.run(&["token"]).token(), "token-2");

    let status = machine.run(&["status"]).success().stdout;
    assert!(
        status.contains("keychain (Secret Service)") && status.contains("cached, valid for"),
        "{status}"
    );
    assert!(
        !status.contains("token-2") && !status.contains(SECRET),
        "{status}"
    );

    machine.run(&["logout"]).success();
    assert!(keychain.is_empty());
    assert_eq!(machine.files(), [machine.config().join("lock")]);
    machine.run(&["token", "prod"]).failure(3);
    assert_eq!(server.requests().len(), 2);
}
