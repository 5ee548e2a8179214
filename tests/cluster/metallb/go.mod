// MetalLB's CustomResourceDefinitions, which its module has in config/crd/bases: the tests take them from the
// module cache, so that pools and advertisements are MetalLB's own. No code of it is built; a module of its own keeps
// its requirements away from those of Kubernetes. A new MetalLB: change the version, then
// `GOFLAGS=-mod=mod go mod download go.universe.tf/metallb`, which writes go.sum.
module penstock.dev/tests/cluster/metallb

go 1.26.0

require go.universe.tf/metallb v0.16.2
