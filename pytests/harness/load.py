"""Many clients at once, every answer checked."""

import threading

import requests


def in_parallel(count, work, timeout=100):
    """Run work(number) in count threads; the first thing that went wrong in any of them is raised here."""
    problems = []

    def run(number):
        try:
            work(number)
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout)
        assert not thread.is_alive(), "a client did not finish"
    if problems:
        raise problems[0]


def sessions_in_parallel(count, work):
    """The same with a requests.Session (cookies, keep-alive) for each client: work(number, session)."""

    def run(number):
        with requests.Session() as session:
            session.trust_env = False
            work(number, session)

    in_parallel(count, run)
