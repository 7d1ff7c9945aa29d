"""The whole platform on one machine, and the ``notifyx`` command."""
