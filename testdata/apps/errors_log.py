"""Writes the query string to wsgi.errors, by write and by writelines."""


def application(environ, start_response):
    errors = environ["wsgi.errors"]
    text = environ["QUERY_STRING"]
    errors.write("written " + text + " \u00e9\n")
    errors.writelines(["lines ", text, "\n"])
    errors.flush()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "0")])
    return []
