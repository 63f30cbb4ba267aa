"""Token endpoints as people write them with Django, over https: served by wsgiref, or as `runserver` does it.

Takes the directory with the test's certificates, and `wsgiref` or `runserver`. Neither server tells the length of an
answer, nor says goodbye under TLS.
"""

import base64
import itertools
import os
import pathlib
import secrets
import ssl
import sys
import threading
from wsgiref import simple_server

import django
from django.conf import settings
from django.core.servers import basehttp
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.views.debug import ExceptionReporter, technical_500_response
from django.views.decorators.csrf import csrf_protect

MATERIAL = pathlib.Path(sys.argv[1])
CLIENT = "Basic " + base64.b64encode(b"client:secret").decode()
numbers = itertools.count(1)

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DEBUG=True,
    LOGGING_CONFIG=None,
    ROOT_URLCONF=__name__,
    SECRET_KEY=secrets.token_hex(),
)
django.setup()


def issued():
    return {"access_token": f"django-{next(numbers)}", "token_type": "Bearer", "expires_in": 3600}


def token(request):
    if request.headers.get("Authorization") != CLIENT:
        return JsonResponse({"error": "invalid_client", "error_description": "Who is this?"}, status=401)
    return JsonResponse(issued(), json_dumps_params={"indent": 2})


def streamed(request):
    text = JsonResponse(issued()).content
    return StreamingHttpResponse((bytes([byte]) for byte in text), content_type="application/json")


def refused(request):
    # As text: the request does not accept HTML.
    try:
        raise PermissionError(request.headers["Authorization"])
    except PermissionError:
        return technical_500_response(request, *sys.exc_info(), status_code=401)


def refused_with_a_page(request):
    try:
        raise PermissionError(request.headers["Authorization"])
    except PermissionError:
        return HttpResponse(ExceptionReporter(request, *sys.exc_info()).get_traceback_html(), status=401)


def crashed(request):
    raise RuntimeError(request.headers["Authorization"])


def login_required(request):
    return redirect(f"/accounts/login/?next={request.path}")


@csrf_protect
def protected(request):
    return token(request)


urlpatterns = [
    path("token/", token),
    path("streamed/", streamed),
    path("refused/", refused),
    path("refused-with-a-page/", refused_with_a_page),
    path("crashed/", crashed),
    path("login-required/", login_required),
    path("protected/", protected),
]


class Quiet(simple_server.WSGIRequestHandler):
    def log_message(self, *_):
        pass


class QuietRunserver(basehttp.WSGIRequestHandler):
    def log_message(self, *_):
        pass


def end_with_standard_input():
    sys.stdin.read()
    os._exit(0)


address = ("127.0.0.1", 0)
if sys.argv[2] == "wsgiref":
    server = simple_server.WSGIServer(address, Quiet)
else:
    server = basehttp.ThreadedWSGIServer(address, QuietRunserver)
server.set_app(get_wsgi_application())
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(MATERIAL / "server.crt", MATERIAL / "server.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Thread(target=end_with_standard_input, daemon=True).start()
print(f"https://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
