// Command etcdutl is the snapshot part of etcd's own tool: it tells whether a file of ours is whole, and restores it.
package main

import (
	"os"

	"go.etcd.io/etcd/etcdutl/v3/etcdutl"
)

func main() {
	snapshot := etcdutl.NewSnapshotCommand()
	snapshot.PersistentFlags().StringVarP(&etcdutl.OutputFormat, "write-out", "w", "json", "the output's format")
	if snapshot.Execute() != nil {
		os.Exit(1)
	}
}
