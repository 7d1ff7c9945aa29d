"""The API server as the operator uses it: reading, patching, conditions, Kopf's thread.

It uses no other room of the operator.
"""
