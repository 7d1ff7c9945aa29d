"""The routes, one module a subject.

A route reads its request, makes one call and writes the answer; rules live in the rooms below.
"""
