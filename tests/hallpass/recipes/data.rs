//! Data, mail and services.

use std::fs;
use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::json;

use super::{AWKWARD, Recipe, commands, settings_and_commands};
use crate::clients::Demands;
use crate::machine::{finish, spawn};
use crate::real_servers::{duckdb_extension, prometheus_program, service_client};
use crate::server::{Reply, Request, Server};

/// A server of tests/service-clients/doubles.py.
pub(super) struct Double {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub(super) port: String,
}

impl Double {
    pub(super) fn start(kind: &str) -> Self {
        let mut python = Command::new(service_client("python"));
        python
            .args(["-B", "tests/service-clients/doubles.py", kind])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = python.spawn().expect("Python starts");
        let stdout = process.stdout.take().expect("a pipe");
        let mut lines = BufReader::new(stdout).lines();
        let port = lines.next().expect("a port").expect("text");
        Self {
            process,
            lines,
            port,
        }
    }

    /// The next credential that it received.
    #[track_caller]
    pub(super) fn received(&mut self) -> String {
        self.lines.next().expect("a credential").expect("text")
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

fn each(tool: &str) -> [Recipe; 2] {
    Recipe::each(tool, AWKWARD, "/", Demands::Bearer, |_| Reply::new(200))
}

/// Loads an extension, as `DuckDB` would from the network.
fn load(extension: &str) -> String {
    let file = duckdb_extension(extension);
    format!("-unsigned -cmd \"LOAD '{}'\"", file.display())
}

#[test]
fn duckdb_reads_the_variable_for_each_url() {
    let content = |_: &Request| Reply::new(200).body("hello");
    for recipe in Recipe::each("duckdb", AWKWARD, "/data/", Demands::Bearer, content) {
        let (sql, command) = settings_and_commands(&recipe.text);
        let mut sql = sql.to_owned();
        for url in recipe.urls("/data/") {
            sql.push_str("SELECT * FROM read_text('");
            sql.push_str(&url);
            sql.push_str("a.txt');\n");
        }
        let file = recipe.project_file("script.sql", &sql);
        let input = format!("{} < '{}'", load("httpfs"), file.display());
        recipe.python_client("duckdb", &input);
        let printed = recipe.shell("sh", command).success();
        let read = printed.stdout.matches("a.txt").count();
        assert_eq!(read, recipe.urls("/").len(), "{printed:?}");
        recipe.used_one_token();
    }
}

#[test]
fn psql_sends_the_token_as_password_and_duckdb_by_oauth() {
    for recipe in each("psql") {
        let mut server = Double::start("postgres");
        let connection = format!("host=127.0.0.1 port={} dbname=d", server.port);
        let attach = format!(
            "-c \"ATTACH '{connection} user=oauth oauth_client_id=c \
             oauth_issuer=https://a.example/.well-known/openid-configuration' AS p (TYPE postgres)\""
        );
        let extension = load("postgres_scanner");
        recipe.python_client("duckdb", &format!("{extension} {attach} || true"));
        let quoted = format!("'{connection} user=me'");
        let commands = recipe.text.replace("CONNECTION", &quoted);
        recipe.shell("sh", &commands);
        assert_eq!(server.received(), recipe.token() + " ");
        let oauth = server.received();
        assert!(oauth.contains(&recipe.header()), "{oauth}");
        recipe.used_one_token();
    }
}

#[test]
fn librdkafka_calls_the_function_for_its_token() {
    for recipe in each("kafka") {
        let mut broker = Double::start("kafka");
        let more = format!(
            "\nfrom confluent_kafka import Consumer\n\
             settings |= {{'bootstrap.servers': '127.0.0.1:{}', 'group.id': 'g',\n\
             \x20   'security.protocol': 'SASL_PLAINTEXT'}}\n\
             print(Consumer(settings).list_topics(timeout=60).brokers)\n",
            broker.port
        );
        recipe.python("", &(recipe.text.clone() + &more)).success();
        let credential = broker.received();
        assert!(credential.contains(&recipe.header()), "{credential}");
        recipe.used_one_token();
    }
}

/// As Java reads properties, without escapes.
#[test]
fn kafkas_properties_name_the_file_that_is_kept() {
    for recipe in each("kafka-java") {
        let (settings, keep) = settings_and_commands(&recipe.text);
        let _kept = recipe.keep(keep.trim());
        let mut lines = settings.lines();
        let url = lines.find_map(|line| line.strip_prefix("sasl.oauthbearer.token.endpoint.url="));
        let url = url.expect("a URL");
        let option = "-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=";
        assert!(lines.any(|line| line.strip_prefix(option) == Some(url)));
        let file = url.strip_prefix("file://").expect("a file");
        let token = fs::read_to_string(file).expect("a token");
        assert_eq!(token, recipe.token());
        recipe.used_one_token();
    }
}

#[test]
fn kcat_reads_the_token_from_a_pipe() {
    for recipe in each("kcat") {
        let mut broker = Double::start("kafka");
        let line = recipe
            .text
            .replace("SASL_SSL", "SASL_PLAINTEXT")
            .replace("BROKER", &format!("127.0.0.1:{}", broker.port));
        recipe.shell("bash", &line).success();
        assert_eq!(broker.received(), format!(" USER {}", recipe.token()));
        recipe.used_one_token();
    }
}

#[test]
fn mongodbs_driver_reads_the_file() {
    for recipe in each("mongodb") {
        let mut server = Double::start("mongodb");
        let (keep, rest) = settings_and_commands(&recipe.text);
        let _kept = recipe.keep(&commands(keep));
        let (variables, url) = rest.trim_end().rsplit_once('\n').expect("a URL");
        let url = url.replace("HOST", &format!("127.0.0.1:{}", server.port));
        let script = format!(
            "import pymongo\nclient = pymongo.MongoClient('{url}&directConnection=true')\nclient.admin.command('ping')\n"
        );
        recipe.python(variables, &script).success();
        assert_eq!(server.received(), recipe.token());
        recipe.used_one_token();
    }
}

#[test]
fn prometheus_reads_the_file_for_each_scrape() {
    let metrics = |_: &Request| Reply::new(200).body("up 1\n");
    for recipe in ["/", "/app/x"]
        .map(|path| Recipe::each("prometheus", AWKWARD, path, Demands::Bearer, metrics))
        .into_iter()
        .flatten()
    {
        let is_below = recipe.text.contains("\"/app/x\"");
        let path = if is_below { "/app/x" } else { "/metrics" };
        let (settings, keep) = settings_and_commands(&recipe.text);
        let _kept = recipe.keep(&commands(keep));
        let settings = format!("global: {{ scrape_interval: 1s }}\n{settings}");
        let file = recipe.project_file("prometheus.yml", &settings);
        let mut prometheus = recipe.command(prometheus_program().to_str().expect("UTF-8"));
        prometheus
            .arg(format!("--config.file={}", file.display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .arg(format!(
                "--storage.tsdb.path={}",
                recipe.directory("data").display()
            ))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let before = recipe.server.requests().len();
        let mut running = spawn(&mut prometheus);
        recipe
            .server
            .wait_for_requests(before + recipe.urls("/").len());
        let _ = running.kill();
        let _ = running.wait();
        for request in &recipe.server.requests()[before..] {
            assert_eq!(request.target, path);
            assert_eq!(request.header("authorization"), Some(&*recipe.header()));
        }
        recipe.used_one_token();
    }
}

#[test]
fn snowflakes_connector_reads_the_file() {
    for recipe in each("snowflake") {
        let refuse = json!({ "success": false, "code": "390100", "message": "no", "data": null });
        let server = Server::start(move |_| Reply::json(200, refuse.to_string()));
        let (settings, keep) = settings_and_commands(&recipe.text);
        let _kept = recipe.keep(keep);
        let settings = format!(
            "{settings}host = \"127.0.0.1\"\nport = {}\nprotocol = \"http\"\n",
            server.port()
        );
        let file = recipe.machine.home().join(".snowflake/connections.toml");
        fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
        let written = recipe
            .machine
            .private_file("connections.toml", settings.as_bytes());
        fs::rename(written, file).expect("the connector's settings");
        let name = settings.split(['[', ']']).nth(1).expect("a name");
        recipe.python(
            "",
            &format!(
                "import snowflake.connector\n\
             try:\n    snowflake.connector.connect(connection_name='{name}', login_timeout=5)\n\
             except snowflake.connector.errors.Error as error:\n    print(error)\n"
            ),
        );
        let login = server.requests().first().expect("a login").text();
        let sent = format!(r#""TOKEN":"{}""#, recipe.token());
        assert!(login.contains(&sent), "{login}");
        recipe.used_one_token();
    }
}

#[test]
fn msmtp_runs_the_command() {
    for recipe in each("msmtp") {
        let mut server = Double::start("smtp");
        let settings = format!(
            "account default\nhost 127.0.0.1\nport {}\ntls off\nfrom me@example.com\nuser me@example.com\n{}",
            server.port, recipe.text
        );
        let file = recipe.machine.private_file("msmtprc", settings.as_bytes());
        let line = format!(
            "echo hello | msmtp --file='{}' you@example.com",
            file.display()
        );
        recipe.shell("sh", &line).success();
        let credential = server.received();
        assert!(credential.contains(&recipe.header()), "{credential}");
        recipe.used_one_token();
    }
}

#[test]
fn rclone_runs_the_command_of_each_remote() {
    let listing = "<d:multistatus xmlns:d=\"DAV:\"><d:response><d:href>/</d:href><d:propstat><d:prop>\
        <d:resourcetype><d:collection/></d:resourcetype></d:prop><d:status>HTTP/1.1 200 OK</d:status>\
        </d:propstat></d:response></d:multistatus>";
    let content = move |_: &Request| {
        Reply::new(207)
            .header("Content-Type", "application/xml")
            .body(listing)
    };
    for recipe in Recipe::each("rclone", AWKWARD, "/", Demands::Bearer, content) {
        let file = recipe.project_file("rclone.conf", &recipe.text);
        for remote in recipe
            .text
            .lines()
            .filter_map(|line| line.strip_prefix('['))
        {
            let remote = remote.replace(']', ":");
            let mut rclone = recipe.command(service_client("rclone").to_str().expect("UTF-8"));
            rclone
                .arg("--config")
                .arg(&file)
                .args(["lsd", &remote, "--retries", "1"]);
            finish(spawn(&mut rclone)).success();
        }
        recipe.used_one_token();
    }
}
