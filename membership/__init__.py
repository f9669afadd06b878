"""Knowledge of etcd membership: models, judgements, errors. Pure: no clock, no I/O."""
