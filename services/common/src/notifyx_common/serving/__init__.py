"""A service as an HTTP process: its lifecycle, its health endpoints and its routes for internal calls.

This package may import ``calls`` (to register the node) and the modules below it.
"""
