"""The same changes on clusters of every supported version, and on clusters of two neighbours."""
