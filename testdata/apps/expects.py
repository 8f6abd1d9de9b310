"""Refuses (/refuse, 413 without a read), ignores (/ignore, 200 without a read) or reads (/read) a body."""


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/read":
        body = environ["wsgi.input"].read()
        answer, status = str(len(body)).encode(), "200 OK"
    elif path == "/some":
        body = environ["wsgi.input"].read(4)
        answer, status = body, "200 OK"
    else:
        answer, status = b"no", "413 Too Large" if path == "/refuse" else "200 OK"
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]
