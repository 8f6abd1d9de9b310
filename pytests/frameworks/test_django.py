"""Django, by the example project: ORM on sqlite, sessions, admin login, upload and download, alone and under load."""

import os
import re
import subprocess

import pytest
import requests

from harness.forms import EXAMPLES
from harness.load import sessions_in_parallel
from harness.server import environment

pytestmark = pytest.mark.core

SITE = EXAMPLES / "django_site"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("django")


@pytest.fixture(scope="module")
def server(serve_module, form, data):
    place = data / form.id
    place.mkdir()
    env = {
        "DJANGO_DATA": str(place),
        "DJANGO_SUPERUSER_USERNAME": "root",
        "DJANGO_SUPERUSER_PASSWORD": "toor",
        "DJANGO_SUPERUSER_EMAIL": "root@localhost",
    }
    for command in (["migrate", "--verbosity", "0"], ["createsuperuser", "--noinput", "--verbosity", "0"]):
        subprocess.run(
            [form.interpreter.python, "manage.py", *command],
            cwd=str(SITE),
            env=environment(env),
            check=True,
            timeout=50,
        )
    # The database file stays open in the threads that used it.
    return serve_module(
        "site_config.wsgi", "--threads", "4", cwd=SITE, env={"DJANGO_DATA": str(place)}, keeps_files=True
    )


@pytest.fixture
def session():
    with requests.Session() as session:
        session.trust_env = False
        yield session


def token(page):
    return re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text).group(1)


def upload(session, server, title, content):
    page = session.get(server.url + "/", timeout=20)
    fields = {"title": title, "csrfmiddlewaretoken": token(page)}
    files = {"file": (title + ".bin", content)}
    return session.post(server.url + "/documents/", data=fields, files=files, timeout=20)


def test_pages(server):
    page = server.get("/")
    assert page.status_code == 200
    assert "<h1>Library</h1>" in page.text
    assert server.get("/nowhere").status_code == 404
    assert server.get("/documents/999/").status_code == 404


def test_sessions_in_the_database(server, session):
    for visit in range(1, 6):
        assert session.get(server.url + "/visits/", timeout=20).text == str(visit)


@pytest.mark.parametrize("size", [1, 2_000_000, 6_000_000])
def test_upload_and_download(server, session, size):
    content = os.urandom(size)
    page = upload(session, server, f"größe {size}", content)
    assert page.status_code == 200
    assert f"{size} bytes" in page.text
    assert page.url.startswith(server.url + "/documents/")
    download = session.get(page.url + "file", timeout=20)
    assert download.content == content
    assert download.headers["Content-Length"] == str(size)
    assert "fetched 1 times" in session.get(page.url, timeout=20).text


def test_a_form_that_is_wrong(server, session):
    page = session.get(server.url + "/", timeout=20)
    answer = session.post(
        server.url + "/documents/", data={"title": "", "csrfmiddlewaretoken": token(page)}, timeout=20
    )
    assert answer.status_code == 400
    assert "This field is required" in answer.text


def test_csrf_is_checked(server):
    assert server.post("/documents/", data={"title": "forged"}).status_code == 403


def test_admin(server, session):
    login = server.url + "/admin/login/?next=/admin/library/document/"
    page = session.get(login, timeout=20)
    fields = {"username": "root", "password": "wrong", "csrfmiddlewaretoken": token(page)}
    assert "Please enter the correct username" in session.post(login, data=fields, timeout=20).text
    fields["password"] = "toor"
    fields["csrfmiddlewaretoken"] = token(session.get(login, timeout=20))
    page = session.post(login, data=fields, timeout=20)
    assert page.url == server.url + "/admin/library/document/"
    assert "Select document to change" in page.text
    page = session.get(server.url + "/admin/library/document/add/", timeout=20)
    fields = {"title": "by the admin", "csrfmiddlewaretoken": token(page), "_save": "Save"}
    page = session.post(page.url, data=fields, files={"file": ("a.txt", b"text")}, timeout=20)
    assert "was added successfully" in page.text
    assert "by the admin" in page.text


def test_a_streaming_export(server, session):
    upload(session, server, 'quoted "title", with comma', b"x")
    rows = server.get("/export.csv").text.split("\r\n")
    assert any('"quoted ""title"", with comma"' in row for row in rows)


def test_load_with_writes(server):
    def visitor(number, session):
        for visit in range(1, 5):
            assert session.get(server.url + "/visits/", timeout=20).text == str(visit)
            content = b"%d" % number * (1 + visit * 1000)
            page = upload(session, server, f"{number}-{visit}", content)
            assert f"<h1>{number}-{visit}</h1>" in page.text
            assert session.get(page.url + "file", timeout=20).content == content

    sessions_in_parallel(6, visitor)
