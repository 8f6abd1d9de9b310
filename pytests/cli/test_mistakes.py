"""Mistakes of the person at the keyboard: one plain sentence, a status that says which kind, never a hang."""

import shutil
import socket

import pytest

from harness.forms import APPS

USAGE, BOOT, APP = 2, 3, 4


def one_sentence(stderr):
    lines = [line for line in stderr.split("\n") if line.strip()]
    assert len(lines) == 1, "not one line:\n" + stderr
    assert "Traceback" not in stderr
    assert "goroutine" not in stderr
    return lines[0]


def last_sentence(stderr):
    """The app's own traceback, then the sentence."""
    lines = [line for line in stderr.split("\n") if line.strip()]
    assert stderr.count("Traceback (most recent call last)") >= 1 or "SyntaxError" in stderr, stderr
    assert not lines[-1].startswith(" ")
    assert "importlib" not in stderr, "our own frames are no help to the reader:\n" + stderr
    return lines[-1]


@pytest.mark.parametrize(
    "arguments, mentions",
    [
        ([], "app"),
        (["--no-such-option", "hello"], "no-such-option"),
        (["--thraeds", "4", "hello"], "thraeds"),
        (["--threads", "many", "hello"], "many"),
        (["--threads", "0", "hello"], "--threads"),
        (["--threads", "-3", "hello"], "--threads"),
        (["--threads"], "--threads"),
        (["--bind", "localhost:99999", "hello"], "99999"),
        (["--bind", "localhost:http", "hello"], "http"),
        (["--bind", "::1:8000", "hello"], "::1:8000"),
        (["--bind", "unix:", "hello"], "unix:"),
        (["--bind", "fd://seven", "hello"], "seven"),
        (["--bind", "http://localhost:80", "hello"], "http://"),
        (["--bind", "", "hello"], "--bind"),
        (["--chdir", "/no/such/directory", "hello"], "/no/such/directory"),
        (["--log-level", "loud", "hello"], "loud"),
        (["--keep-alive", "-1", "hello"], "--keep-alive"),
        (["--keep-alive", "soon", "hello"], "soon"),
        (["--env", "NO_EQUALS_SIGN", "hello"], "NO_EQUALS_SIGN"),
        (["--backlog", "0", "hello"], "--backlog"),
        (["--limit-request-body", "huge", "hello"], "huge"),
        (["--temp-dir", "/no/such/directory", "hello"], "/no/such/directory"),
        (["--header-map", "guess", "hello"], "guess"),
        (["hello", "plain_app"], "plain_app"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_options_are_status_2(gowsgi, arguments, mentions):
    status, stdout, stderr = gowsgi(*arguments)
    assert status == USAGE
    assert mentions in one_sentence(stderr)
    assert stdout == ""


@pytest.mark.parametrize("port", ["abc", "70000", "-1"])
def test_a_wrong_port_in_the_environment(gowsgi, port):
    status, _, stderr = gowsgi("hello", env={"PORT": port})
    assert status == USAGE
    assert "PORT" in one_sentence(stderr)


@pytest.mark.core
@pytest.mark.parametrize(
    "app, mentions",
    [
        ("no_such_module", "no_such_module"),
        ("no_such_module:app", "no_such_module"),
        ("package.no_such", "no_such"),
        ("no_such_package.inner.site", "no_such_package"),
        ("hello:nothing_here", "nothing_here"),
        ("hello:application.missing", "missing"),
        ("no_app", "no_app"),
        ("no_app:not_callable", "callable"),
        ("no_app:nothing", "no_app:nothing"),
        ("factory:nothing()", "nothing"),
        ("factory:create(name)", "name"),
        ("factory:create(1", "create(1"),
        ("factory:create().more", "create"),
        ("factory:", "factory:"),
        ("./no_such_file.py", "no_such_file.py"),
        ("hello-world", "hello-world"),
    ],
)
def test_an_app_that_is_not_there_is_status_4(gowsgi, app, mentions):
    status, stdout, stderr = gowsgi("--bind", "127.0.0.1:0", app)
    assert status == APP
    assert mentions in one_sentence(stderr)
    assert stdout == ""


@pytest.mark.core
@pytest.mark.parametrize(
    "app, error, frame",
    [
        ("broken_import", "RuntimeError: no configuration, on purpose", "in configure"),
        ("missing_dependency", "no_such_dependency_anywhere", "missing_dependency.py"),
        ("factory:failing()", "LookupError: the factory failed on purpose", "in failing"),
        ("factory:create(1, 2, 3, 4, 5)", "TypeError", ""),
    ],
)
def test_an_app_that_raises_shows_its_own_traceback(gowsgi, app, error, frame):
    status, _, stderr = gowsgi("--bind", "127.0.0.1:0", app)
    assert status == APP
    if "create(" in app:
        # The call itself is ours: a sentence can say it all.
        assert "create" in stderr.strip().split("\n")[-1]
        assert "argument" in stderr
        return
    assert app.split(":")[0] in last_sentence(stderr)
    assert error in stderr
    assert frame in stderr


@pytest.mark.core
def test_a_syntax_error_shows_the_line(gowsgi, tmp_path):
    shutil.copyfile(str(APPS / "broken_syntax.py.txt"), str(tmp_path / "broken_syntax.py"))
    status, _, stderr = gowsgi("--bind", "127.0.0.1:0", "broken_syntax", cwd=tmp_path)
    assert status == APP
    assert "broken_syntax" in last_sentence(stderr)
    assert "SyntaxError" in stderr
    # Python 3.8 complains of the line behind it.
    assert "def application(environ, start_response:" in stderr or "return []" in stderr


@pytest.mark.core
def test_an_app_that_exits_while_it_is_imported(gowsgi):
    status, _, stderr = gowsgi("--bind", "127.0.0.1:0", "exits_on_import")
    assert status == APP
    assert "exits_on_import" in stderr
    assert "this app does not want to run" in stderr


def test_a_busy_port_is_status_3(gowsgi):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        address = "127.0.0.1:{}".format(taken.getsockname()[1])
        status, _, stderr = gowsgi("--bind", address, "hello")
    assert status == BOOT
    assert address in one_sentence(stderr)
    assert "in use" in stderr


def test_an_address_that_is_not_ours_is_status_3(gowsgi):
    status, _, stderr = gowsgi("--bind", "192.0.2.1:0", "hello")
    assert status == BOOT
    assert "192.0.2.1" in one_sentence(stderr)


def test_a_socket_in_a_directory_that_is_not_there(gowsgi, tmp_path):
    path = tmp_path / "no" / "socket"
    status, _, stderr = gowsgi("--bind", f"unix:{path}", "hello")
    assert status == BOOT
    what = f"gowsgi: cannot listen on unix:{path}: there is no directory {path.parent}; "
    assert one_sentence(stderr) == what + "make it, or choose another path"


def test_a_directory_in_the_place_of_the_socket(gowsgi, tmp_path):
    status, _, stderr = gowsgi("--bind", f"unix:{tmp_path}", "hello")
    assert status == BOOT
    sentence = one_sentence(stderr)
    assert "that is a directory" in sentence
    assert f"unix:{tmp_path / 'gowsgi.sock'}" in sentence
    assert "in use" not in sentence


def test_a_file_in_the_place_of_the_directory(gowsgi, tmp_path):
    (tmp_path / "file").write_text("")
    status, _, stderr = gowsgi("--bind", f"unix:{tmp_path / 'file' / 'socket'}", "hello")
    assert status == BOOT
    assert f"{tmp_path / 'file'} is no directory" in one_sentence(stderr)


def test_a_host_that_cannot_be_found(gowsgi):
    status, _, stderr = gowsgi("--bind", "no-such-host.invalid:0", "hello")
    assert status == BOOT
    sentence = one_sentence(stderr)
    assert sentence.startswith("gowsgi: the host no-such-host.invalid cannot be found")
    assert "--bind" in sentence


def test_a_file_in_the_place_of_the_socket_is_not_deleted(gowsgi, tmp_path):
    path = tmp_path / "precious"
    path.write_text("data")
    status, _, stderr = gowsgi("--bind", f"unix:{path}", "hello")
    assert status == BOOT
    assert "a file that is no socket is in the way" in one_sentence(stderr)
    assert path.read_text() == "data"


@pytest.mark.parametrize("descriptor, reason", [(0, "is no socket"), (77, "is not open")])
def test_a_descriptor_that_is_no_socket_is_status_3(gowsgi, descriptor, reason):
    status, _, stderr = gowsgi("--bind", f"fd://{descriptor}", "hello")
    assert status == BOOT
    sentence = one_sentence(stderr)
    assert f"fd://{descriptor}" in sentence
    assert reason in sentence


@pytest.mark.parametrize("option", ["--error-logfile", "--access-logfile", "--pid"])
@pytest.mark.parametrize("path", ["/no/such/directory/log", "/tmp"])
def test_a_file_that_cannot_be_opened(gowsgi, option, path):
    status, _, stderr = gowsgi("--bind", "127.0.0.1:0", option, path, "hello")
    assert status in (USAGE, BOOT)
    sentence = one_sentence(stderr)
    assert f" {path}: " in sentence
    assert {"--error-logfile": "error log", "--access-logfile": "access log", "--pid": "pid file"}[option] in sentence
    assert "Errno" not in sentence
    assert sentence.endswith(f"another file with {option}")
