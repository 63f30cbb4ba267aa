//! Clouds and clusters, in alphabetical order.

use super::{PRINTED, Tool};

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "aws",
        programs: "AWS command line and SDKs",
        found_by: &["aws", "~/.aws"],
        feature: "a web identity token file",
        head: "# leave this running, or make it a service: hallpass setup systemd\n\
               @{shell: hallpass keep PROFILE=TOKEN-FILE}\n\n\
               # then\n\
               @{variable: AWS_WEB_IDENTITY_TOKEN_FILE TOKEN-FILE}\n\
               # the role that trusts the authorization server\n\
               @{variable: AWS_ROLE_ARN arn:aws:iam::ACCOUNT:role/ROLE}\n",
        ..PRINTED
    },
    Tool {
        name: "azure",
        programs: "Azure SDKs",
        found_by: &["az", "~/.azure"],
        feature: "a federated token file",
        head: "# leave this running, or make it a service: hallpass setup systemd\n\
               @{shell: hallpass keep PROFILE=TOKEN-FILE}\n\n\
               # then\n\
               @{variable: AZURE_FEDERATED_TOKEN_FILE TOKEN-FILE}\n\
               # the application that trusts the authorization server\n\
               @{variable: AZURE_TENANT_ID TENANT}\n\
               @{variable: AZURE_CLIENT_ID APPLICATION}\n",
        ..PRINTED
    },
    Tool {
        name: "databricks",
        programs: "Databricks SDKs, Terraform",
        found_by: &["databricks", "~/.databrickscfg"],
        feature: "the Databricks CLI's own protocol",
        head: "# ~/hallpass-databricks: the SDK for Python runs it in place of the CLI, again before the token expires\n\
               #!/bin/sh\n\
               exec @{sh: hallpass token PROFILE --template {\"access_token\":\"{token}\",\"token_type\":\"{type}\",\"expiry\":\"{expires_at}\"}}\n\n\
               # then\n\
               @{sh: chmod +x HOME/hallpass-databricks}\n\
               @{variable: DATABRICKS_CLI_PATH HOME/hallpass-databricks}\n\
               @{variable: DATABRICKS_AUTH_TYPE databricks-cli}\n\n\
               # or, for any SDK, also that for Go in Terraform and the CLI, which runs no script\n\
               @{shell: hallpass exec -e DATABRICKS_TOKEN=PROFILE --min-ttl 30m -- PROGRAM}\n",
        ..PRINTED
    },
    Tool {
        name: "gcloud",
        programs: "gcloud",
        found_by: &["gcloud"],
        feature: "an access token file",
        head: "# for tokens of Google, such as those of: hallpass login --provider google-wif\n\
               # leave this running, or make it a service: hallpass setup systemd\n\
               @{shell: hallpass keep PROFILE=TOKEN-FILE}\n\n\
               # then\n\
               @{variable: CLOUDSDK_AUTH_ACCESS_TOKEN_FILE TOKEN-FILE}\n",
        ..PRINTED
    },
    Tool {
        name: "google",
        programs: "Google Cloud libraries",
        found_by: &["gcloud", "~/.config/gcloud"],
        feature: "an executable credential source",
        head: "# in the credential configuration of the workload identity pool\n\
               \"credential_source\": {\"executable\": {\"command\": @{sh>json: hallpass google-executable --profile=PROFILE}, \"timeout_millis\": 30000}}\n\n\
               # then\n\
               @{variable: GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES 1}\n",
        ..PRINTED
    },
    Tool {
        name: "kubectl",
        programs: "kubectl and other Kubernetes clients",
        found_by: &["kubectl", "~/.kube"],
        feature: "an exec plugin",
        head: "# in the kubeconfig; provideClusterInfo lets hallpass compare the cluster's URL\n\
               users:\n\
               - name: @{yaml: LABEL}\n\
               \x20 user:\n\
               \x20   exec:\n\
               \x20     apiVersion: client.authentication.k8s.io/v1\n\
               \x20     command: @{yaml: hallpass}\n\
               \x20     args: @{list: kubectl-credential --profile=PROFILE}\n\
               \x20     interactiveMode: Never\n\
               \x20     provideClusterInfo: true\n",
        ..PRINTED
    },
    Tool {
        name: "terraform",
        programs: "Terraform, OpenTofu",
        found_by: &["terraform", "tofu"],
        feature: "a credentials helper",
        head: "# ~/.terraformrc; the link is made by: hallpass setup links\n\
               credentials_helper \"hallpass\" {\n\
               \x20 args = @{list: --profile=NAMED}\n\
               }\n",
        ..PRINTED
    },
    Tool {
        name: "terraform-external",
        programs: "Terraform, OpenTofu",
        found_by: &[],
        feature: "an external data source",
        head: "# Terraform saves this token in its state and in a plan: protect them like a secret\n\
               data \"external\" \"@{text: LABEL}\" {\n\
               \x20 program = @{hcl-list: hallpass token PROFILE --min-ttl 30m --template {\"token\":\"{token}\"}}\n\
               }\n\n\
               # the token, which Terraform does not print\n\
               sensitive(data.external.@{text: LABEL}.result.token)\n\n\
               # or without the data source, a token that it does not save: var.token (Terraform 1.10, OpenTofu 1.11)\n\
               variable \"token\" {\n\
               \x20 type      = string\n\
               \x20 sensitive = true\n\
               \x20 ephemeral = true\n\
               }\n\n\
               # then\n\
               @{shell: hallpass exec -e TF_VAR_token=PROFILE --min-ttl 30m -- terraform apply}\n",
        ..PRINTED
    },
];
