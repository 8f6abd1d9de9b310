"""Clients of other servers, in requests of one thread: /<client>?port=N asks a server of the test."""

import http.client
import importlib.util
import socket
import ssl
import threading
import urllib.request
from pathlib import Path

from gowsgi.patch import patch_all

patch_all()

import pymysql  # noqa: E402
import redis  # noqa: E402
import requests  # noqa: E402
import urllib3  # noqa: E402

CERTIFICATE = str(Path(__file__).resolve().parents[1] / "tls" / "localhost.pem")

session = requests.Session()
session.trust_env = False
pool = urllib3.PoolManager(maxsize=20)
LOCAL = {"host": "localhost", "user": "u", "password": "p", "connect_timeout": 10}


def by_requests(port):
    return session.get(f"http://localhost:{port}/", timeout=10).text


def by_requests_tls(port):
    return session.get(f"https://localhost:{port}/", timeout=10, verify=CERTIFICATE).text


def by_urllib3(port):
    return pool.request("GET", f"http://127.0.0.1:{port}/", timeout=10, retries=False).data.decode()


def by_http_client(port):
    connection = http.client.HTTPConnection("localhost", port)
    connection.request("GET", "/")
    try:
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def by_urllib(port):
    context = ssl.create_default_context(cafile=CERTIFICATE)
    with urllib.request.urlopen(f"https://localhost:{port}/", context=context) as response:
        return response.read().decode()


def by_redis(port):
    with redis.Redis(host="localhost", port=port, protocol=2, socket_timeout=10) as client:
        return client.get("key").decode()


def by_pymysql(port):
    connection = pymysql.connect(port=port, **LOCAL)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT word")
            return cursor.fetchone()[0]
    finally:
        connection.close()


def postgres(port):
    return f"host=localhost port={port} user=u dbname=d sslmode=disable gssencmode=disable connect_timeout=10"


def by_psycopg(port):
    import psycopg

    with psycopg.connect(postgres(port), autocommit=True) as connection:
        return connection.execute("SELECT word").fetchone()[0]


def by_psycopg2(port):
    import psycopg2

    connection = psycopg2.connect(postgres(port))
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT word")
            return cursor.fetchone()[0]
    finally:
        connection.close()


def in_no_time(port):
    """What psycopg2 says of a server that does not answer, in the request and in a thread that has no greenlets."""
    import psycopg2

    said = []

    def connect():
        try:
            psycopg2.connect(postgres(port).replace("connect_timeout=10", "connect_timeout=2"))
        except psycopg2.OperationalError as error:
            said.append(str(error).strip())

    connect()
    thread = threading.Thread(target=connect)
    thread.start()
    thread.join()
    return "\n".join(said)


def hang(errors):
    """Until the server ends."""
    left, right = socket.socketpair()
    with left, right:
        try:
            errors.write("it waits\n")
            left.recv(1)
        except Exception as error:
            errors.write(f"it ends: {type(error).__name__}\n")
            raise


def application(environ, start_response):
    name = environ["PATH_INFO"].strip("/")
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    query = environ["QUERY_STRING"].partition("=")[2]
    if name == "there":
        return [str(importlib.util.find_spec(query) is not None).encode()]
    if name == "threads":
        return [str(threading.active_count()).encode()]
    if name == "hang":
        return hang(environ["wsgi.errors"])
    if name == "in_no_time":
        return [in_no_time(int(query)).encode()]
    if name == "close":
        session.close()
        pool.clear()
        return []
    return [globals()["by_" + name](int(query)).encode()]
