"""The only place that speaks gRPC: etcd3's channels with today's stubs, and the membership client on top."""
