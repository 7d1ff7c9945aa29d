"""The internal HTTP routes, one module per subject: read the request, call a room below, write the answer.

They may use every room; no room uses them.
"""
