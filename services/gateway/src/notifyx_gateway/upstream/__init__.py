"""Calls to auth, the store and the mailers: batched where they are many, cached where that is safe.

The only room that knows how another service is called. It uses no other room of the gateway.
"""
