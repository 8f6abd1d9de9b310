"""What meinheld's tests want of a request and its response: environ, framing, bodies, errors."""

import pytest

pytestmark = pytest.mark.core


def test_environ_has_what_it_has_and_nothing_for_what_was_not_sent(program):
    program(
        """
app = App()
answer = visit(app, get("/foo/bar"))
env = app.environ
assert answer.content == b"Hello world!"
expected = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/foo/bar",
    "QUERY_STRING": None,
    "CONTENT_TYPE": None,
    "CONTENT_LENGTH": None,
    "SERVER_NAME": "0.0.0.0",
    "SERVER_PORT": answer.url.split(":")[2].split("/")[0],
    "SERVER_PROTOCOL": "HTTP/1.1",
    "wsgi.url_scheme": "http",
    "wsgi.multithread": False,
    "wsgi.multiprocess": True,
    "wsgi.input_terminated": True,
}
assert {key: env.get(key) for key in expected} == expected, env
assert env["HTTP_USER_AGENT"].startswith("python-requests")
"""
    )


def test_the_root_without_a_query(program):
    program(
        """
app = App()
assert visit(app, get("/")).content == b"Hello world!"
assert app.environ["PATH_INFO"] == "/" and "QUERY_STRING" not in app.environ
"""
    )


def test_a_path_is_the_bytes_as_latin_1(program):
    program(
        """
app = App()
path = "/\\u3042\\u3044\\u3046"
assert visit(app, get(path)).content == b"Hello world!"
assert app.environ["PATH_INFO"] == path.encode("utf-8").decode("latin-1")
assert "QUERY_STRING" not in app.environ
"""
    )


@pytest.mark.parametrize("query", ["a=1234&bbbb=ccc", ""])
def test_a_query_that_was_sent_is_there(program, query):
    program(
        f"""
import http.client
app = App()

def work(url):
    connection = http.client.HTTPConnection(url[7:], timeout=20)
    connection.request("GET", "/ABCDEF?{query}")
    return connection.getresponse().read()

assert visit(app, work) == b"Hello world!"
assert app.environ["PATH_INFO"] == "/ABCDEF" and app.environ["QUERY_STRING"] == {query!r}
"""
    )


def test_blocks_come_in_chunks_and_the_connection_closes(program):
    program(
        """
answer = visit(App(), get("/"))
assert answer.content == b"Hello world!"
assert answer.headers["transfer-encoding"] == "chunked", answer.headers
assert answer.headers["connection"] == "close", answer.headers
assert answer.headers["server"] == "meinheld/1.0.2"
"""
    )


def test_an_exception_after_start_response_is_500(program):
    program(
        """
class Raises(App):
    def answer(self, environ):
        return environ["what is not there"]

assert visit(Raises(), get("/")).status_code == 500
"""
    )


@pytest.mark.parametrize("result", ["[1]", "None"])
def test_a_result_that_is_no_body_is_500(program, result):
    program(
        f"""
class Wrong(App):
    body = {result}

assert visit(Wrong(), get("/")).status_code == 500
"""
    )


def test_fields_of_the_request(program):
    program(
        """
app = App()
answer = visit(app, get("/", headers={"X-TEST": "123", "DNT": "1"}))
assert (answer.status_code, answer.content) == (200, b"Hello world!")
assert (app.environ["HTTP_X_TEST"], app.environ["HTTP_DNT"]) == ("123", "1")
"""
    )


def test_a_form_can_be_read_after_its_request(program):
    program(
        """
app = App()
form = [("key1", "value1"), ("key2", "value2")]
answer = visit(app, lambda url: requests.post(url + "/", data=form, timeout=20))
assert (answer.status_code, answer.content) == (200, b"Hello world!")
assert app.environ["wsgi.input"].read() == b"key1=value1&key2=value2"
"""
    )


def test_a_chunked_form_can_be_read_after_its_request(program):
    program(
        """
app = App()
blocks = iter([b"key1=value1", b"&key2=", b"value2"])
answer = visit(app, lambda url: requests.post(url + "/", data=blocks, timeout=20))
assert (answer.status_code, answer.content) == (200, b"Hello world!")
assert app.environ["wsgi.input"].read() == b"key1=value1&key2=value2"
"""
    )


@pytest.mark.parametrize("size", [100_000, 2_000_000])
def test_an_uploaded_file_can_be_read_after_its_request(program, size):
    """Also one that is larger than what is kept in memory."""
    program(
        f"""
app = App()
picture = bytes(range(256)) * ({size} // 256)
answer = visit(app, lambda url: requests.post(url + "/", files={{"picture.jpg": picture}}, timeout=20))
assert (answer.status_code, answer.content) == (200, b"Hello world!")
body = app.environ["wsgi.input"].read()
assert len(body) == int(app.environ["CONTENT_LENGTH"]) and picture in body
"""
    )


def test_exc_info_is_not_looked_at_before_there_is_a_head(program):
    program(
        """
class Strange(App):
    def __call__(self, environ, start_response):
        start_response("500 InternalServerError", self.headers, ZeroDivisionError)
        self.environ = environ.copy()
        return self.body

app = Strange()
answer = visit(app, get("/foo/bar"))
assert (answer.status_code, answer.content) == (500, b"Hello world!")
assert app.environ["REQUEST_METHOD"] == "GET"
"""
    )


def test_a_second_head_without_exc_info_is_an_error(program):
    program(
        """
class Twice(App):
    def answer(self, environ):
        try:
            self.second(self.status, self.headers)
        except TypeError as error:
            assert str(error) == "headers already set"
            return [b"refused"]

    def __call__(self, environ, start_response):
        self.second = start_response
        return super().__call__(environ, start_response)

assert visit(Twice(), get("/")).content == b"refused"
"""
    )


def test_101_says_upgrade(program):
    program(
        """
class Upgrades(App):
    status, headers, body = "101 Switching Protocols", [("Upgrade", "websocket")], []

answer = visit(Upgrades(), get("/"))
assert answer.status_code == 101
assert answer.headers["upgrade"] == "websocket" and answer.headers["connection"] == "upgrade"
"""
    )


def test_204_has_neither_length_nor_chunks(program):
    program(
        """
class Nothing(App):
    status, headers, body = "204 No Content", [], []

answer = visit(Nothing(), get("/"))
assert answer.status_code == 204
assert "Content-Length" not in answer.headers and "Transfer-Encoding" not in answer.headers
"""
    )


def test_server_and_date_are_the_servers_and_come_first(program):
    program(
        """
class Own(App):
    headers = [("X-First", "1"), ("Server", "mine"), ("Date", "today"), ("X-Last", "2")]

answer = visit(Own(), get("/"))
names = [name.lower() for name in answer.headers]
assert names[:4] == ["server", "date", "x-first", "x-last"] and names[-1] == "connection", names
assert answer.headers["server"] == "meinheld/1.0.2" and answer.headers["date"].endswith("GMT")
"""
    )
