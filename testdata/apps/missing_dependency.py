"""Exists, but imports something that does not."""

import no_such_dependency_anywhere


def application(environ, start_response):
    return no_such_dependency_anywhere.app(environ, start_response)
