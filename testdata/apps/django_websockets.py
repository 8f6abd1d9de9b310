"""A project of Django's in one file whose views have WebSockets."""

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, HttpResponseBadRequest
from django.urls import path

from gowsgi.middleware import WebSocketMiddleware

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="none")


def echo(request):
    ws = request.META.get("wsgi.websocket")
    if ws is None:
        return HttpResponseBadRequest("This is for WebSockets.")
    for message in ws:
        ws.send(f"{request.GET.get('name')}: {message}")
    return HttpResponse()


def fails(request):
    raise RuntimeError("on purpose")


urlpatterns = [path("echo", echo), path("fails", fails)]
application = WebSocketMiddleware(get_wsgi_application())
