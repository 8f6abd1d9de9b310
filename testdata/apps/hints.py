"""Sends 103 Early Hints before its answer; ?bad=1 tries to split the response with them."""


def application(environ, start_response):
    if environ["QUERY_STRING"] == "bad=1":
        environ["wsgi.early_hints"]([("Link", "</a.css>\r\nX-Injected: 1")])
    else:
        environ["wsgi.early_hints"](
            [("Link", "</style.css>; rel=preload; as=style"), ("Link", "</app.js>; rel=preload")]
        )
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
    return [b"done"]
