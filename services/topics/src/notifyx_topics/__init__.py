"""Topics as they are declared: the rules of names and settings, NotifyxTopic documents, and the plan of changes.

Pure: nothing here does I/O or reads a clock, and nothing else of Notifyx is imported. The client, the operator,
``notifyx up`` and :mod:`notifyx_common` share it.
"""
