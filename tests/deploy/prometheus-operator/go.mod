// The Prometheus Operator's CustomResourceDefinitions, which its module has in example/prometheus-operator-crd: the
// API server of the tests holds our ServiceMonitor and PrometheusRule against them. No code of it is built. A new
// one: change the version, then `GOFLAGS=-mod=mod go mod download github.com/prometheus-operator/prometheus-operator`.
module penstock.dev/tests/deploy/prometheus-operator

go 1.26.0

require github.com/prometheus-operator/prometheus-operator v0.85.0
