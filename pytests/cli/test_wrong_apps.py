"""An application that is named almost right: what is wrong is said before anybody asks, with what to write instead."""

import shutil

import pytest

from harness.forms import APPS

APP = 4


def told(gowsgi, app, **keywords):
    """The one sentence, and nothing else, that naming this app ends with."""
    status, stdout, stderr = gowsgi("--bind", "127.0.0.1:0", app, **keywords)
    assert status == APP, stderr
    assert (stdout, stderr.count("\n")) == ("", 1), stderr
    return stderr.rstrip("\n")


@pytest.mark.core
@pytest.mark.parametrize(
    "app, instead",
    [
        ("kinds:create_app", "'kinds:create_app()'"),
        ("kinds:make", "'kinds:make()'"),
        ("kinds:configured", "'kinds:configured()'"),
        ("kinds:with_name", "'kinds:with_name(arguments)'"),
        ("kinds:Site", "'kinds:Site()'"),
        ("factory:create", "'factory:create()'"),
    ],
)
def test_a_factory_that_is_not_called(gowsgi, app, instead):
    sentence = told(gowsgi, app)
    assert "if it makes the application, write" in sentence or "makes the application and is none: write" in sentence
    assert sentence.endswith(f"write gowsgi {instead}.")


@pytest.mark.core
@pytest.mark.parametrize("attribute", ["asgi", "asgi_by_name", "Asgi", "asgi_object"])
def test_an_asgi_application(gowsgi, attribute):
    sentence = told(gowsgi, f"kinds:{attribute}")
    assert "is an ASGI application, and gowsgi serves WSGI" in sentence
    assert sentence.endswith(f"uvicorn kinds:{attribute}.")


def test_the_asgi_file_of_a_django_project(gowsgi, tmp_path):
    project = tmp_path / "site_config"
    project.mkdir()
    (project / "asgi.py").write_text("async def application(scope, receive, send):\n    pass\n")
    assert "uvicorn site_config.asgi:application" in told(gowsgi, "site_config.asgi", cwd=tmp_path)
    shutil.copyfile(str(APPS / "hello.py"), str(project / "wsgi.py"))
    assert told(gowsgi, "site_config.asgi", cwd=tmp_path).endswith("write gowsgi site_config.wsgi.")


@pytest.mark.core
@pytest.mark.parametrize(
    "attribute",
    [
        "usual",
        "with_default",
        "anything",
        "wrapped",
        "partial",
        "site",
        "method",
        "proxy",
        "Site.of_class",
        "create_app()",
    ],
)
def test_what_only_looks_like_a_mistake_is_served(serve, attribute):
    assert serve(f"kinds:{attribute}").request("GET", "/").body == b"usual"


@pytest.mark.parametrize(
    "app, meant",
    [
        ("hello:aplication", "hello:application"),
        ("plain_app:ap", "plain_app:app"),
        ("plain_app:nothing_of_this_kind", "plain_app:app"),
        ("factory:creat(1)", "'factory:create(1)'"),
        ("kinds:create_ap()", "'kinds:create_app()'"),
        ("no_app", "no_app:aplication"),
        ("helo:application", "hello"),
        ("package.iner.site:application", "package.inner.site"),
        ("package/inner/site:application", "package.inner.site:application"),
        ("helo.py", "hello.py"),
    ],
)
def test_a_spelling_that_is_close(gowsgi, app, meant):
    assert told(gowsgi, app).lower().endswith(f"did you mean {meant}?")


def test_a_project_without_its_module(gowsgi, tmp_path):
    project = tmp_path / "site_config"
    project.mkdir()
    (project / "__init__.py").write_text("")
    shutil.copyfile(str(APPS / "hello.py"), str(project / "wsgi.py"))
    assert told(gowsgi, "site_config", cwd=tmp_path).endswith(": did you mean site_config.wsgi?")


def test_a_file_whose_name_is_no_module(gowsgi, tmp_path):
    shutil.copyfile(str(APPS / "hello.py"), str(tmp_path / "hello-world.py"))
    assert told(gowsgi, "hello-world", cwd=tmp_path).endswith(": did you mean hello-world.py?")


def test_a_directory(gowsgi):
    assert "'package/inner' is a directory" in told(gowsgi, "package/inner")


def test_nothing_is_suggested_that_is_not_there(gowsgi, tmp_path):
    (tmp_path / "empty.py").write_text("")
    for app in ("empty:ap", "empty", "nothing_like_it", "nothing_like_it.py", "no/such/folder:app"):
        assert "did you mean" not in told(gowsgi, app, cwd=tmp_path).lower()


@pytest.mark.core
@pytest.mark.parametrize("app", ["no_such_module:app", "missing_dependency"])
def test_a_missing_module_says_which_python(gowsgi, form, app):
    status, _, stderr = gowsgi("--bind", "127.0.0.1:0", app)
    assert status == APP
    sentence = stderr.rstrip("\n").split("\n")[-1]
    assert "this is Python {}.{}.".format(*form.interpreter.version) in sentence
    assert f"{form.interpreter.python}" in sentence
    assert ("--python chooses" in sentence) == (form.kind == "binary")


@pytest.mark.core
def test_a_failing_factory_shows_the_app_and_nothing_of_the_server(gowsgi):
    """Nor what the server tried before it called the factory."""
    status, _, stderr = gowsgi("--bind", "127.0.0.1:0", "factory:failing()")
    assert status == APP
    assert stderr.count("Traceback") == 1
    assert "During handling" not in stderr
    assert "<gowsgi>" not in stderr
    assert "AttributeError" not in stderr
