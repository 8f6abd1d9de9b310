"""Calls methods of wsgi.input as the query says and answers the results as JSON.

calls=read,read:10,read1:10,readinto:10,readline,readline:5,readlines,readlines:20,iter,next,tell,seek:3; bytes are
given as latin-1 text.
"""

import json
from urllib.parse import parse_qs


def run(stream, calls):
    results = []
    for call in calls:
        name, _, argument = call.partition(":")
        if name == "iter":
            results.append([line.decode("latin-1") for line in stream])
        elif name == "next":
            results.append(next(iter(stream), b"").decode("latin-1"))
        elif name == "readinto":
            target = bytearray(int(argument))
            size = stream.readinto(target)
            results.append(bytes(target[:size]).decode("latin-1"))
        elif name in ("tell", "seek"):
            results.append(getattr(stream, name)(*([int(argument)] if argument else [])))
        else:
            result = getattr(stream, name)(*([int(argument)] if argument else []))
            if isinstance(result, list):
                results.append([line.decode("latin-1") for line in result])
            else:
                assert type(result) is bytes, type(result)
                results.append(result.decode("latin-1"))
    return results


def application(environ, start_response):
    calls = parse_qs(environ["QUERY_STRING"]).get("calls", ["read"])[0].split(",")
    answer = json.dumps(run(environ["wsgi.input"], calls)).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))])
    return [answer]
