"""The access log in a file, in a format of the site's."""

import noted

accesslog = "requests"
access_log_format = "%(m)s %(U)s?%(q)s %(H)s %(s)s %(B)s %({x-two}i)s %({content-type}o)s %(f)s"
errorlog = "errors"
loglevel = "warning"


def child_exit(server, worker):
    server.log.warning("worker %s has ended", worker.age)
    with open("requests") as requests, open("errors") as errors:
        told = [line.partition("] [WARNING] ")[2] for line in errors if "has ended" in line]
        noted.note("child_exit", lines=requests.read().splitlines(), told=told)
