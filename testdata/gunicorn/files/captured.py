"""What is printed goes to the error log."""

import noted

capture_output = True
errorlog = "errors"


def post_request(worker, req, environ, resp):
    with open("errors") as file:
        noted.note("post_request", printed=sum(line == "printed\n" for line in file))
