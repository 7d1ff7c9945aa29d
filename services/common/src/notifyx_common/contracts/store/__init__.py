"""What the gateway and the operator ask of the store, a module a subject: the models, and the calls that carry them.

``names`` and ``batches`` hold what the subjects share.
"""
