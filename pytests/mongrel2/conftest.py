import pytest

from harness.mongrel2 import Mongrel2, missing, zmq_missing


@pytest.fixture
def mongrel2():
    """mongrel2(*handlers, settings=, hosts=) starts one, which is stopped at the end and must not have ended before."""
    why = missing()
    if why:
        pytest.skip(why)
    started = []

    def start(*handlers, **options):
        started.append(Mongrel2(*handlers, **options))
        return started[-1]

    yield start
    for server in started:
        print(f"--- Mongrel2 ---\n{server.stop()[-4000:]}")


@pytest.fixture
def zmq():
    """The module of pyzmq."""
    why = zmq_missing()
    if why:
        pytest.skip(why)
    import zmq

    return zmq
