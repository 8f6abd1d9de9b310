"""All apps of this folder behind one server: /<module>/rest, and /validated/<module>/rest inside wsgiref.validate."""

import importlib
import wsgiref.util
import wsgiref.validate

wrapped = {}


def application(environ, start_response):
    name = wsgiref.util.shift_path_info(environ)
    validated = name == "validated"
    if validated:
        name = wsgiref.util.shift_path_info(environ)
    key = (name, validated)
    if key not in wrapped:
        app = importlib.import_module(name).application
        wrapped[key] = wsgiref.validate.validator(app) if validated else app
    return wrapped[key](environ, start_response)
