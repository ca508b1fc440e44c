"""What all services over HTTP have in common: where they are, and what their answers mean. No I/O here."""
