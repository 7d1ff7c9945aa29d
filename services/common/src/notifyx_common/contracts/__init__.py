"""The shapes that cross from one service to another: one module a called service.

Caller and callee import the same model, so that a change of a contract is a change of one file.
"""
