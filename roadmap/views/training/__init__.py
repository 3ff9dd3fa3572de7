"""The Training page: small networks, trained on this machine from the page."""
