"""What the app finds around it: directory, path, environment, and the interpreter of the virtual environment."""

import subprocess

import pytest

from harness.forms import APPS

pytestmark = pytest.mark.core


def who(server):
    return server.get("/").json()


def ask(form, expression):
    """What the interpreter says of itself when nobody embeds it."""
    command = [form.interpreter.python, "-c", f"import sys; print({expression})"]
    return subprocess.check_output(command, timeout=30).decode().strip()


def test_chdir(serve, tmp_path):
    (tmp_path / "here.py").write_text("from who import application\n")
    answer = who(serve("here", "--chdir", str(tmp_path), "--pythonpath", str(APPS)))
    assert answer["cwd"] == str(tmp_path)


def test_pythonpath_comes_first_in_order(serve, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    (second / "found_there.py").write_text("from who import application\n")
    answer = who(serve("found_there", "--pythonpath", f"{first},{second}"))
    path = answer["path"]
    assert path.index(str(first)) < path.index(str(second))
    assert path.index(str(second)) <= 2


def test_the_current_directory_is_importable(serve):
    assert str(APPS) in who(serve("who"))["path"]


def test_pythonpath_of_the_environment_is_honoured(serve, tmp_path):
    (tmp_path / "from_env.py").write_text("from who import application\n")
    assert str(tmp_path) in who(serve("from_env", env={"PYTHONPATH": str(tmp_path)}))["path"]


def test_env_is_set_before_the_app_is_imported(serve):
    server = serve("plain_app", "-e", "GREETING=good morning", "--env", "OTHER=a=b")
    assert server.get("/").text == "good morning"


def test_env_reaches_os_environ_and_children(serve):
    answer = who(serve("who", "--env", "GOWSGI_PROBE=a=b, c"))
    assert answer["env"]["GOWSGI_PROBE"] == "a=b, c"


def test_options_from_the_environment(serve):
    server = serve("hello", env={"GOWSGI_CMD_ARGS": "--threads 6"})
    assert "6 threads" in server.about


def test_the_command_line_wins_over_the_environment(serve):
    server = serve("hello", "--threads", "2", env={"GOWSGI_CMD_ARGS": "--threads 6"})
    assert "2 threads" in server.about


def test_the_virtual_environment_is_honoured(serve, form):
    answer = who(serve("who"))
    assert answer["prefix"] == ask(form, "sys.prefix")
    assert answer["executable"] == ask(form, "sys.executable")
    assert answer["version"][:2] == list(form.interpreter.version)


def test_sys_path_is_that_of_the_interpreter(serve, form):
    own = [p for p in eval(ask(form, "sys.path")) if p]
    path = who(serve("who"))["path"]
    assert [p for p in own if p not in path] == []


def test_one_process_and_a_main_thread(serve):
    server = serve("who")
    answer = who(server)
    assert answer["pid"] == server.pid
    assert answer["main"] is True


def test_sys_argv_is_there(serve):
    argv = who(serve("who"))["argv"]
    assert argv
    assert "gowsgi" in argv[0]


def test_stdout_of_the_app_is_stdout(serve, tmp_path):
    (tmp_path / "prints.py").write_text("print('printed while importing', flush=True)\nfrom hello import application\n")
    server = serve("prints", "--pythonpath", str(APPS), cwd=tmp_path)
    assert server.stdout.wait_for(rb"printed while importing\n")


MODULES = """
import sys

there = " ".join(sorted(sys.modules)).encode()


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [there]
"""


def test_a_start_imports_only_what_it_needs(serve, form, tmp_path):
    """Modules that take milliseconds to import, for mistakes and tracebacks, wait until there is one."""
    (tmp_path / "modules.py").write_text(MODULES)
    there = set(serve("modules:application", cwd=tmp_path).get("/").text.split())
    anyway = set(ask(form, "*sys.modules").split())
    assert "threading" in there
    assert {"ast", "json", "traceback"} & (there - anyway) == set()


RAISES = """
import sys

sys.modules["traceback"] = None


def application(environ, start_response):
    raise LookupError("nowhere")
"""


def test_an_error_is_reported_even_if_the_module_for_it_cannot_be_imported(serve, tmp_path):
    (tmp_path / "raises_early.py").write_text(RAISES)
    server = serve("raises_early", cwd=tmp_path)
    assert server.get("/").status_code == 500
    place = rb'(?s)\[ERROR\] error.*File ".*raises_early.py", line 8, in application\nLookupError: nowhere\n'
    said = server.expect_error(place)
    assert b"Traceback (most recent call last):" in said.group()


def test_a_module_of_the_application_is_not_taken_for_the_standard_library(serve, form, tmp_path):
    """What a factory's arguments are read with must not be a file of that name beside the application."""
    if form.kind != "binary":
        pytest.skip("python -m looks into the current directory before anything of the server runs")
    (tmp_path / "ast.py").write_text("raise SystemExit('the wrong module')\n")
    (tmp_path / "made.py").write_text("from who import application\n\n\ndef make(name):\n    return application\n")
    server = serve("made:make('x')", "--pythonpath", str(APPS), cwd=tmp_path)
    assert str(tmp_path) in who(server)["path"]
