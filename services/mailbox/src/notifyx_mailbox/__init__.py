"""An SMTP server with pages that show its mail: for trials and tests on one machine, never for the internet."""
