"""A module without an app; it has a near miss."""


def aplication(environ, start_response):
    return []


not_callable = 42
nothing = None
