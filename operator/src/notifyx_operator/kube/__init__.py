"""The operator's client of the API server: reads, patches, conditions, and Kopf's thread.

It uses no other room of the operator.
"""
