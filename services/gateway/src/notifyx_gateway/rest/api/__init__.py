"""The API's description: its operations as data, from which the OpenAPI document is made, and the AsyncAPI document.

It serves no request and imports no route; a test holds the operations and the routes against each other.
"""
