"""gunicorn's settings, and how the worker classes are named."""

import pytest

from harness.masters import Gunicorn
from harness.waiting import wait_until


@pytest.mark.parametrize(
    "name",
    [
        "egg:gowsgi-server#gunicorn_worker",
        "egg:gowsgi-server#meinheld",
        "gowsgi.compat.meinheld.gmeinheld.MeinheldWorker",
    ],
)
def test_names_of_the_classes(gunicorn, name):
    server = gunicorn("-k", name, "--access-logfile=-")
    assert server.get("/x") == (200, "hello")
    assert server.headers["Server"] == ("meinheld/1.0.2" if "meinheld" in name else "gowsgi")
    assert server.stdout.wait_for(rb'127.0.0.1 - - \[.*\] "GET /x HTTP/1.1" 200 5 "-" "-"\n')


def test_the_old_name_of_meinhelds_class(gunicorn, tmp_path):
    conf = tmp_path / "gunicorn.conf.py"  # found without being named
    conf.write_text(
        "from gowsgi.compat import alias\n"
        "alias('meinheld')\n"
        "worker_class = 'meinheld.gmeinheld.MeinheldWorker'\n"
        "access_log_format = '%(m)s %(s)s %({X}i)s %({wsgi.url_scheme}e)s'\n"
        "accesslog = '-'\n"
    )
    server = gunicorn("-k", "meinheld.gmeinheld.MeinheldWorker")
    environ = eval(server.get("/environ", headers={"X": "y"})[1])
    assert "QUERY_STRING" not in environ
    assert environ["SERVER_NAME"] == "127.0.0.1"
    assert server.stdout.wait_for(rb"GET 200 y http\n")
    assert server.get("/fail")[0] == 500
    assert server.stderr.wait_for(rb"Error handling request /fail\nTraceback")
    server.stop(expect=["as asked"])


def test_limits_keepalive_and_options_of_a_subclass(gunicorn):
    server = gunicorn(
        "-k", "gextra.Streaming", "--limit-request-line=100", "--limit-request-fields=5", "--keep-alive=0",
        "--limit-request-field_size=50",
    )  # fmt: skip
    assert server.get("/") == (200, "hello")
    assert server.headers["Connection"] == "close"
    assert server.headers["Server"] == "mine"
    assert server.get("/" + "x" * 100)[0] == 414
    assert server.get("/", headers={f"X{n}": "y" for n in range(5)})[0] == 431
    assert server.get("/", headers={"X": "y" * 50})[0] == 431
    assert server.get("/body", method="POST", body=b"x" * 3_000_000) == (200, "3000000")


def refusal(python, home, *options):
    server = Gunicorn(python, home, *options)
    status = server.wait()
    return status, server.text()


def test_tls_is_refused_in_a_sentence(main_python, tmp_path):
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).touch()
    status, text = refusal(main_python, tmp_path, "--certfile=cert.pem", "--keyfile=key.pem")
    assert status == 1
    assert "Error: gowsgi's worker has no TLS yet" in text
    assert "Traceback" not in text


def test_a_wrong_application_stops_the_master(main_python, tmp_path):
    (tmp_path / "wrong.py").write_text("async def app(scope, receive, send):\n    pass\n")
    server = Gunicorn(main_python, tmp_path, app="wrong:app")
    assert server.wait() == 3
    assert "is an ASGI application, and gowsgi serves WSGI" in server.text()


def test_what_changes_nothing_is_said(gunicorn):
    server = gunicorn("--strip-header-spaces")
    assert server.stderr.wait_for(rb"gowsgi's worker ignores strip_header_spaces: ")


def test_a_filter_on_the_access_log_is_heeded(gunicorn, tmp_path):
    """As people leave out health checks."""
    (tmp_path / "gunicorn.conf.py").write_text(
        "import logging\n"
        "accesslog = '-'\n"
        "class NoHealth(logging.Filter):\n"
        "    def filter(self, record):\n"
        "        return '/health' not in record.getMessage()\n"
        "logging.getLogger('gunicorn.access').addFilter(NoHealth())\n"
    )
    server = gunicorn()
    server.get("/health")
    server.get("/other")
    assert server.stdout.wait_for(rb"GET /other HTTP/1.1")
    assert b"/health" not in server.stdout.since()


def test_logconfig_gets_the_servers_records(gunicorn, tmp_path):
    (tmp_path / "gunicorn.conf.py").write_text(
        "logconfig_dict = {\n"
        "    'version': 1,\n"
        "    'formatters': {'own': {'format': 'OWN %(name)s %(levelname)s %(message)s'}},\n"
        "    'handlers': {'file': {'class': 'logging.FileHandler', 'filename': 'own.log', 'formatter': 'own'}},\n"
        "    'loggers': {name: {'handlers': ['file'], 'level': 'INFO', 'propagate': False}\n"
        "                for name in ('gunicorn.error', 'gunicorn.access')},\n"
        "    'root': {'handlers': ['file'], 'level': 'INFO'},\n"
        "}\n"
    )
    log = tmp_path / "own.log"
    server = gunicorn(notes=log)
    assert "OWN gunicorn.error INFO gowsgi 0" in log.read_text()
    server.get("/logged")
    wait_until(lambda: "OWN gunicorn.access INFO 127.0.0.1 - - " in log.read_text(), "the request")
    assert server.get("/fail")[0] == 500
    wait_until(
        lambda: "OWN gunicorn.error ERROR Error handling request /fail\nTraceback" in log.read_text(), "the error"
    )
