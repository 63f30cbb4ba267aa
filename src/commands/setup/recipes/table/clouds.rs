//! Clouds and clusters, in alphabetical order.

use super::{PRINTED, Tool};

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "aws",
        programs: "AWS command line and SDKs",
        found_by: &["aws", "~/.aws"],
        feature: "a web identity token file",
        head: "# write the file again before the token expires\n\
               @{shell: hallpass token PROFILE --output TOKEN-FILE}\n\
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
        head: "# write the file again before the token expires\n\
               @{shell: hallpass token PROFILE --output TOKEN-FILE}\n\
               @{variable: AZURE_FEDERATED_TOKEN_FILE TOKEN-FILE}\n\
               # the application that trusts the authorization server\n\
               @{variable: AZURE_TENANT_ID TENANT}\n\
               @{variable: AZURE_CLIENT_ID APPLICATION}\n",
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
];
