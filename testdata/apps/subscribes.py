"""gowsgi.channels between requests, a thread from the import, spawned functions and threads of somebody's own.

/get?topic=&timeout=&client=    one message: "topic data", or the name of the exception
/stream?topic=&queue=&slow=     a line for each message until data "end"
/many?topic=&count=             spawns so many functions that subscribe, and add up what they get
/thread?topic=                  waits in a thread of its own, for which the request waits
/publish?topic=&data=&count=    publishes, numbered where there is a count; "reached seconds"
/subscribers?topic=             how many
/ended                          exceptions that ended waits
/sum                            what /many came to
"""

import threading
import time
from urllib.parse import parse_qsl

from gowsgi import Disconnected, Stopping, Timeout, channels, spawn

ENDS = (channels.Closed, Disconnected, Stopping, Timeout)
ended = []
total = [0, 0]


def work():
    for message in channels.subscribe("work"):
        channels.publish("done." + message.data, "by a thread")


threading.Thread(target=work, daemon=True).start()


def get(subscription, timeout=None, client=True):
    try:
        return "{} {}".format(*subscription.get(timeout, client=client))
    except ENDS as error:
        ended.append(type(error).__name__)
        return type(error).__name__


def stream(subscription):
    with subscription:
        try:
            for topic, data in subscription:
                yield f"{topic} {data}\n".encode()
                if data == "end":
                    break
        except ENDS as error:
            ended.append(type(error).__name__)
            raise
    yield f"dropped {subscription.dropped}\n".encode()


def add(topic):
    with channels.subscribe(topic) as subscription:
        number = int(subscription.get().data)
        total[0] += number
        total[1] += 1


def application(environ, start_response):
    path, asked = environ["PATH_INFO"], dict(parse_qsl(environ["QUERY_STRING"]))
    topics = asked.get("topic", "").split(",")
    text = ""
    if path == "/get":
        timeout = float(asked["timeout"]) if "timeout" in asked else None
        with channels.subscribe(*topics) as subscription:
            text = get(subscription, timeout, asked.get("client", "1") == "1")
    elif path == "/stream":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return stream(channels.subscribe(*topics, queue=int(asked.get("queue", 100)), slow=asked.get("slow", "drop")))
    elif path == "/many":
        for _ in range(int(asked["count"])):
            spawn(add, topics)
    elif path == "/thread":
        said = []
        with channels.subscribe(*topics) as subscription:
            thread = threading.Thread(target=lambda: said.append(get(subscription)))
            thread.start()
            thread.join()
        text = said[0]
    elif path == "/publish":
        numbers = range(int(asked["count"])) if "count" in asked else [asked["data"]]
        began = time.perf_counter()
        reached = sum(channels.publish(topics[0], str(number)) for number in numbers)
        text = f"{reached} {time.perf_counter() - began}"
    elif path == "/subscribers":
        text = str(channels.subscribers(topics[0]))
    elif path == "/ended":
        text = " ".join(ended)
    elif path == "/sum":
        text = f"{total[0]} {total[1]}"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text.encode()]
