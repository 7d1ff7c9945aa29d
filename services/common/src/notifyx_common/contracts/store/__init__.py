"""Requests and responses of the store's internal API, one module for each subject.

``names`` and ``batches`` hold what the subjects share.
"""
