"""What many waiting changes cost the worker and Temporal: `make scale`."""
