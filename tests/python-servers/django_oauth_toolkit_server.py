"""An authorization server that nobody of this project wrote: PyPI's django-oauth-toolkit. It takes JSON bodies, too."""

import secrets

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import include, path

from serving import LIFETIME, SCOPE, SECRET, serve

APPS = ["django.contrib.auth", "django.contrib.contenttypes", "oauth2_provider"]

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=APPS,
    LOGGING_CONFIG=None,
    # It tells the length of an answer, as TLS needs it.
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    # The tables at once, instead of one migration after the other.
    MIGRATION_MODULES={name.rpartition(".")[2]: None for name in APPS},
    OAUTH2_PROVIDER={
        "ACCESS_TOKEN_EXPIRE_SECONDS": LIFETIME,
        "OAUTH2_BACKEND_CLASS": f"{__name__}.FormOrJson",
        "SCOPES": {scope: scope for scope in [*SCOPE.split(), "introspection"]},
    },
    # Fast: the secrets are no secrets.
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=secrets.token_hex(),
    USE_TZ=True,
)
django.setup()

from oauth2_provider.models import Application  # noqa: E402
from oauth2_provider.oauth2_backends import JSONOAuthLibCore, OAuthLibCore  # noqa: E402

urlpatterns = [path("o/", include("oauth2_provider.urls", namespace="oauth2_provider"))]


class FormOrJson(OAuthLibCore):
    def extract_body(self, request):
        kind = JSONOAuthLibCore if request.content_type == "application/json" else OAuthLibCore
        return kind.extract_body(self, request)


def application(url):
    call_command("migrate", run_syncdb=True, verbosity=0)
    for client_id, secret in [("client:one", SECRET), ("introspector", "introspector-secret")]:
        Application.objects.create(
            client_id=client_id,
            client_secret=secret,
            client_type=Application.CLIENT_CONFIDENTIAL,
            authorization_grant_type=Application.GRANT_CLIENT_CREDENTIALS,
        )
    return get_wsgi_application()


serve(application)
