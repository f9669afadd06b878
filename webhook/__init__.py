"""Sends the outcome of a change to a web address: the table in the clusters file, the signature, the request."""
