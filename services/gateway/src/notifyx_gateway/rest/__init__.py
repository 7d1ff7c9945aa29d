"""HTTP: the REST API, event streams, pages and the web client's files.

It authenticates a request, reads it strictly, calls the rooms below and writes the answer. It may use every room of
the gateway except ``socket``; no other room uses it.
"""
