//! Data, mail and services, in alphabetical order.

use super::{PRINTED, Tool};

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "duckdb",
        programs: "DuckDB",
        found_by: &["duckdb"],
        feature: "a secret of httpfs, from a variable",
        head: "-- in DuckDB\n",
        each: "CREATE SECRET @{json: LABEL} (TYPE http, BEARER_TOKEN getenv('HALLPASS_TOKEN'), SCOPE @{sql: URL});\n",
        tail: "\n# then\n@{shell: hallpass exec -e HALLPASS_TOKEN=PROFILE --min-ttl 30m -- duckdb}\n",
        ..PRINTED
    },
    Tool {
        name: "kafka",
        programs: "Kafka clients of librdkafka",
        found_by: &[],
        feature: "a callback (Python)",
        head: "import json, subprocess, time\n\n\
               def oauth_cb(_):\n\
               \x20   token = json.loads(subprocess.check_output(@{list: hallpass token PROFILE --min-ttl 5m --format json}))\n\
               \x20   return token[\"access_token\"], time.time() + token[\"expires_in\"]\n\n\
               # in the client's settings\n\
               settings = {\"security.protocol\": \"SASL_SSL\", \"sasl.mechanism\": \"OAUTHBEARER\", \"oauth_cb\": oauth_cb}\n",
        ..PRINTED
    },
    Tool {
        name: "kafka-java",
        programs: "Kafka clients for Java",
        found_by: &[],
        feature: "a token file",
        head: "# the client's properties, for tokens that are JWTs; until Kafka 3.3, the handler is in the package\n\
               # org.apache.kafka.common.security.oauthbearer.secured\n\
               security.protocol=SASL_SSL\n\
               sasl.mechanism=OAUTHBEARER\n\
               sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;\n\
               sasl.login.callback.handler.class=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler\n\
               sasl.oauthbearer.token.endpoint.url=@{file-url: TOKEN-FILE}\n\n\
               # an option of Java, since Kafka 4\n\
               -Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=@{file-url: TOKEN-FILE}\n\n\
               # then leave this running, or make it a service: hallpass setup systemd\n\
               @{shell: hallpass keep PROFILE=TOKEN-FILE}\n",
        ..PRINTED
    },
    Tool {
        name: "kcat",
        programs: "kcat",
        found_by: &["kcat"],
        feature: "a settings file from a pipe (bash, zsh)",
        head: "# for brokers that take a token as the password of SASL PLAIN\n\
               kcat -F <(@{sh: hallpass token PROFILE --template sasl.password={token}}) \\\n\
               \x20 -X security.protocol=SASL_SSL -X sasl.mechanisms=PLAIN -X sasl.username=USER -b BROKER -L\n",
        ..PRINTED
    },
    Tool {
        name: "mongodb",
        programs: "MongoDB drivers",
        found_by: &["mongosh"],
        feature: "an OIDC token file",
        head: "# leave this running, or make it a service: hallpass setup systemd\n\
               @{shell: hallpass keep PROFILE=TOKEN-FILE}\n\n\
               # then\n\
               @{variable: AZURE_FEDERATED_TOKEN_FILE TOKEN-FILE}\n\n\
               # in the connection string: the driver reads that file\n\
               mongodb://HOST/?authMechanism=MONGODB-OIDC&authMechanismProperties=ENVIRONMENT:k8s\n",
        ..PRINTED
    },
    Tool {
        name: "msmtp",
        programs: "msmtp",
        found_by: &["msmtp"],
        feature: "passwordeval",
        head: "# ~/.msmtprc, in the account\n\
               auth oauthbearer\n\
               passwordeval @{sh: hallpass token PROFILE}\n",
        ..PRINTED
    },
    Tool {
        name: "prometheus",
        programs: "Prometheus",
        found_by: &["prometheus"],
        feature: "a credentials file",
        head: "# prometheus.yml\nscrape_configs:\n",
        each: "- job_name: @{yaml: LABEL}\n\
               \x20 scheme: @{text: SCHEME}\n\
               \x20 metrics_path: @{yaml: METRICS-PATH}\n\
               \x20 authorization:\n\
               \x20   credentials_file: @{yaml: TOKEN-FILE}\n\
               \x20 static_configs:\n\
               \x20 - targets: [@{yaml: HOST}]\n",
        tail: "\n# then leave this running in the account of Prometheus; from another one, Prometheus can read only a file\n\
               # elsewhere, with --group prometheus\n\
               @{shell: hallpass keep PROFILE=TOKEN-FILE}\n",
        ..PRINTED
    },
    Tool {
        name: "psql",
        programs: "psql, DuckDB",
        found_by: &["psql"],
        feature: "an environment variable",
        head: "# for servers that take a token as the password\n\
               @{shell: hallpass exec -e PGPASSWORD=PROFILE -- psql CONNECTION}\n\n\
               # for PostgreSQL's own OAuth, which psql does not serve with a token: DuckDB's postgres extension (1.5.3)\n\
               @{shell: hallpass exec -e PGOAUTHTOKEN=PROFILE --min-ttl 30m -- duckdb}\n",
        ..PRINTED
    },
    Tool {
        name: "rclone",
        programs: "rclone",
        found_by: &["rclone"],
        feature: "a WebDAV remote's token command",
        head: "# ~/.config/rclone/rclone.conf (rclone 1.60 splits the command at spaces, also between quotes)\n",
        each: "[@{text: LABEL}]\n\
               type = webdav\n\
               vendor = other\n\
               url = @{text: URL}\n\
               bearer_token_command = @{rclone: hallpass token PROFILE}\n\n",
        ..PRINTED
    },
    Tool {
        name: "snowflake",
        programs: "Snowflake connectors",
        found_by: &["snow", "~/.snowflake"],
        feature: "a token file",
        head: "# ~/.snowflake/connections.toml (mode 0600)\n\
               [@{text: LABEL}]\n\
               account = \"ACCOUNT\"\n\
               authenticator = \"oauth\"\n\
               token_file_path = @{toml: TOKEN-FILE}\n\n\
               # then leave this running, or make it a service: hallpass setup systemd\n\
               @{shell: hallpass keep PROFILE=TOKEN-FILE}\n",
        ..PRINTED
    },
];
