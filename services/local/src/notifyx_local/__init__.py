"""The whole platform on one machine: ``notifyx up``."""
