"""Calls to auth, the store and the mailers: frequent ones are batched, and results cached where that is safe.

Only this room calls other services. It uses no other room of the gateway.
"""
