"""What meinheld's tests want of the Continuation."""

import pytest

pytestmark = pytest.mark.core

MIDDLEWARE = """
from meinheld.middleware import CONTINUATION_KEY, ContinuationMiddleware

"""

# Two requests for one application: the first to come is suspended, the second does something with its continuation.
TWO = (
    MIDDLEWARE
    + """
class Two(App):
    waiter = None

    def answer(self, environ):
        if self.waiter is None:
            self.waiter = environ[CONTINUATION_KEY]
            return self.first(self.waiter)
        return self.second(self.waiter)

def both(app):
    url = "http://localhost:%d" % listen()
    pending = ["/1", "/2"]

    def client(path):
        def call():
            try:
                results.append((path, requests.get(url + path, timeout=20)))
            except BaseException:
                problems.append(traceback.format_exc())
            pending.remove(path)
            if not pending:
                server.shutdown(1)
        return call

    for path in list(pending):
        server.spawn(client(path))
    run(ContinuationMiddleware(app))
    return dict(results)

"""
)


def test_the_middleware_gives_a_continuation(program):
    program(
        MIDDLEWARE
        + """
app = App()
answer = visit(app, get("/"), ContinuationMiddleware)
assert answer.content == b"Hello world!"
assert app.environ["PATH_INFO"] == "/" and "QUERY_STRING" not in app.environ
assert app.environ[CONTINUATION_KEY]
"""
    )


def test_a_request_that_nobody_resumes_is_500(program):
    program(
        MIDDLEWARE
        + """
class Waits(App):
    def answer(self, environ):
        try:
            environ[CONTINUATION_KEY].suspend(1)
        except server.timeout as error:
            assert isinstance(error, IOError)
            raise

app = Waits()
assert visit(app, get("/"), ContinuationMiddleware).status_code == 500
assert app.environ[CONTINUATION_KEY]
"""
    )


def test_one_request_resumes_another(program):
    """The client that was spawned last begins first, and so it is the one that waits."""
    program(
        TWO
        + """
class Resumes(Two):
    def first(self, waiter):
        assert waiter.suspend(20) == ()
        return [b"RESUMED"]

    def second(self, waiter):
        assert waiter.resume() is None
        return self.body

answers = both(Resumes())
assert answers["/2"].content == b"RESUMED" and answers["/1"].content == b"Hello world!", results
"""
    )


def test_suspended_twice_both_are_500(program):
    program(
        TWO
        + """
class Suspends(Two):
    def first(self, waiter):
        waiter.suspend(1)

    def second(self, waiter):
        try:
            waiter.suspend()
        except IOError as error:
            assert str(error) == "already suspended"
            raise

answers = both(Suspends())
assert [answer.status_code for answer in answers.values()] == [500, 500]
"""
    )


def test_a_request_that_resumes_itself_is_500(program):
    program(
        MIDDLEWARE
        + """
class Itself(App):
    def answer(self, environ):
        try:
            environ[CONTINUATION_KEY].resume()
        except IOError as error:
            assert str(error).startswith("not suspended")
            raise

assert visit(Itself(), get("/"), ContinuationMiddleware).status_code == 500
"""
    )


def test_one_request_resumes_ten(program):
    program(
        MIDDLEWARE
        + """
class Ten(App):
    waiters = []

    def answer(self, environ):
        path = environ["PATH_INFO"]
        if path == "/wakeup":
            for waiter in self.waiters:
                waiter.resume()
        else:
            self.waiters.append(environ[CONTINUATION_KEY])
            if len(self.waiters) == 10:
                spawn(lambda: requests.get(url + "/wakeup", timeout=20).content)
            environ[CONTINUATION_KEY].suspend(20)
        return [path.encode()]

url = "http://localhost:%d" % listen()
for number in range(10):
    spawn(lambda number=number: requests.get("%s/%d" % (url, number), timeout=20).content, last=False)
run(ContinuationMiddleware(Ten()))
assert sorted(results) == [b"/%d" % number for number in range(10)] + [b"/wakeup"], results
"""
    )


@pytest.mark.parametrize(
    "given, got",
    [
        ("", "()"),
        ("1", "1"),
        ("None", "None"),
        ("1, 2", "(1, 2)"),
        ("a=1", "{'a': 1}"),
        ("1, a=2", "((1,), {'a': 2})"),
    ],
)
def test_what_resume_is_given_suspend_returns(program, given, got):
    program(
        MIDDLEWARE
        + f"""
class Given(App):
    def answer(self, environ):
        waiter = environ[CONTINUATION_KEY]
        server.schedule_call(0, lambda: waiter.resume({given}))
        return [repr(waiter.suspend()).encode()]

assert visit(Given(), get("/"), ContinuationMiddleware).content == repr({got}).encode()
"""
    )


@pytest.mark.parametrize(
    "timeout, kind", [("-1", "ValueError"), ("0.5", "TypeError"), ("None", "TypeError"), ("'1'", "TypeError")]
)
def test_times_that_are_none(program, timeout, kind):
    program(
        MIDDLEWARE
        + f"""
class Asks(App):
    def answer(self, environ):
        try:
            environ[CONTINUATION_KEY].suspend({timeout})
        except {kind}:
            return [b"refused"]

assert visit(Asks(), get("/"), ContinuationMiddleware).content == b"refused"
"""
    )


def test_the_client_object_and_the_functions_behind_the_continuation(program):
    program(
        MIDDLEWARE
        + """
from meinheld.common import CLIENT_KEY, Continuation

class Client(App):
    def answer(self, environ):
        client = environ[CLIENT_KEY]
        assert environ[CONTINUATION_KEY].client is client and isinstance(environ[CONTINUATION_KEY], Continuation)
        client.set_closed(0)
        for call in (lambda: server._suspend_client("no client"), lambda: server._resume_client("no client", (), {})):
            try:
                call()
            except TypeError:
                continue
            raise AssertionError("accepted")
        server.schedule_call(0, server._resume_client, client, ("a", "b"), {})
        assert server._suspend_client(client, 20) == ("a", "b")
        mine = client.get_greenlet()
        assert mine is server.get_ident()
        client.set_greenlet(None)
        try:
            environ[CONTINUATION_KEY].suspend()
        except ValueError:
            client.set_greenlet(mine)
            return [b"fine"]

assert visit(Client(), get("/"), ContinuationMiddleware).content == b"fine"
"""
    )
