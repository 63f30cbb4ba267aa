"""Requests one access token as a provider's own package does it, with the identity token in the file that is given.

Takes the name of the package, and the file. The package asks for the provider's real hosts: the proxy and the trusted
authorities in its environment decide what it reaches.
"""

import pathlib
import sys

PACKAGE, IDENTITY_FILE = sys.argv[1:]
IDENTITY = pathlib.Path(IDENTITY_FILE).read_text().strip()


def msal():
    import msal

    application = msal.ConfidentialClientApplication(
        "client:one",
        client_credential={"client_assertion": IDENTITY},
        authority="https://login.microsoftonline.com/acme.example",
    )
    result = application.acquire_token_for_client(["https://api.example/.default"])
    assert "access_token" in result, result


def google_auth():
    from google.auth import identity_pool
    from google.auth.transport.requests import Request

    credentials = identity_pool.Credentials.from_info(
        {
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/12/locations/global/workloadIdentityPools/ci/providers/github",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "https://sts.googleapis.com/v1/token",
            "credential_source": {"file": IDENTITY_FILE},
        },
        scopes=["https://www.googleapis.com/auth/cloud-platform"],
    )
    credentials.refresh(Request())


def openai():
    from openai import OpenAI
    from openai.auth import k8s_service_account_token_provider

    identity = {
        "identity_provider_id": "idp_1",
        "service_account_id": "sa",
        "provider": k8s_service_account_token_provider(IDENTITY_FILE),
    }
    OpenAI(workload_identity=identity, max_retries=0).models.list()


def anthropic():
    from anthropic import IdentityTokenFile, WorkloadIdentityCredentials

    credentials = WorkloadIdentityCredentials(
        identity_token_provider=IdentityTokenFile(IDENTITY_FILE),
        federation_rule_id="fdrl_1",
        organization_id="org",
        service_account_id="svac_1",
    )
    credentials()


def databricks():
    from databricks.sdk.core import Config

    config = Config(
        host="https://acme.cloud.databricks.com",
        auth_type="file-oidc",
        oidc_token_filepath=IDENTITY_FILE,
    )
    config.authenticate()


{"msal": msal, "google-auth": google_auth, "openai": openai, "anthropic": anthropic, "databricks-sdk": databricks}[PACKAGE]()
