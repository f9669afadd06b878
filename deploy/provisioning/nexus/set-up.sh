#!/bin/sh
# Lets the namespace `provisioning` call memberflow in the namespace `default`. An operator of Temporal runs it once.
# The workers of memberflow then run with --nexus.
set -eu
temporal operator nexus endpoint create --name memberflow --target-namespace default --target-task-queue memberflow
