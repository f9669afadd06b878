"""Random changes under random faults on a real cluster, held to the promises of the contract: `make chaos`."""
