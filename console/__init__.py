"""The command line's parts: speaks to Temporal only, and never loads etcd3."""
