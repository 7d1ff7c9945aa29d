"""Notifyx."""
