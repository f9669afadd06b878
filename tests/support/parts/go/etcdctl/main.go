// Command etcdctl is etcd's own client: somebody else's hand in the tests.
package main

import "go.etcd.io/etcd/etcdctl/v3/ctlv3"

func main() { ctlv3.MustStart() }
