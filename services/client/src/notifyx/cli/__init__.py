"""The command line ``notifyx``: a thin shell around the client."""
