"""A Pyramid app: routes, JSON, forms, session cookie, upload, a view that raises."""

from pathlib import Path

from pyramid.config import Configurator
from pyramid.response import FileResponse, Response
from pyramid.session import SignedCookieSessionFactory


def index(request):
    return Response("Hello from Pyramid")


def item(request):
    return {"number": int(request.matchdict["number"]), "q": request.params.get("q"), "url": request.url}


def visits(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return Response(str(request.session["visits"]))


def upload(request):
    part = request.POST["file"]
    return {"name": part.filename, "size": len(part.file.read()), "text": request.POST["text"]}


def stream(request):
    count = int(request.matchdict["count"])
    return Response(app_iter=(b"%d," % number for number in range(count)), content_type="text/plain")


def source(request):
    return FileResponse(str(Path(__file__).resolve()), request=request, content_type="text/plain")


def broken(request):
    raise RuntimeError("a view that fails on purpose")


def create():
    with Configurator() as config:
        config.set_session_factory(SignedCookieSessionFactory("for tests only"))
        for name, path, view, options in (
            ("index", "/", index, {}),
            ("item", "/item/{number}", item, {"renderer": "json"}),
            ("visits", "/session", visits, {}),
            ("upload", "/upload", upload, {"renderer": "json", "request_method": "POST"}),
            ("stream", "/stream/{count}", stream, {}),
            ("source", "/source", source, {}),
            ("broken", "/broken", broken, {}),
        ):
            config.add_route(name, path)
            config.add_view(view, route_name=name, **options)
        return config.make_wsgi_app()
