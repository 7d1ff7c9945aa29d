"""The internal calls between services, with their paths and models: one module for each subject.

Caller and callee import the same models, so that a contract is changed in one file.
"""
