"""The description of the public API: the operations as data, the OpenAPI document made of them, AsyncAPI."""
