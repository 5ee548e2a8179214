# Penstock: everything a person runs, by one word. `make help` lists it.

CARGO ?= cargo
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Root: what needs it asks for it. Builds stay the caller's own, so that `target/` does.
ROOT := $(shell [ "$$(id -u)" = 0 ] || echo "sudo -E --preserve-env=PATH,CI,RUST_LOG,RUST_BACKTRACE")
HOST := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
ifneq ($(ROOT),)
export CARGO_TARGET_$(HOST)_RUNNER := $(ROOT)
endif

# Where Go is put by its own installer.
export PATH := $(PATH):/usr/local/go/bin

DEMO_FLAGS := $(if $(filter-out 0,$(KEEP)),--keep) $(if $(filter-out 0,$(ONE_ARM)),--one-arm) \
	$(if $(WORKERS),--workers $(WORKERS)) $(if $(REQUESTS),--requests $(REQUESTS))

.PHONY: help deps demo test fmt fmt-check lint doc unit checklist loom bench bench-compare bench-peers instructions \
	instructions-record clean cluster-binaries cluster-if-possible \
	cluster-test cluster-scale differential fuzz image

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: ## Install what is missing (apt-get; other distributions: names the packages)
	@.ci/deps

demo: deps ## Services over AF_XDP on this machine, real HTTP; KEEP=1 ONE_ARM=1 WORKERS=n REQUESTS=n
	$(CARGO) build --release -p penstock
	$(ROOT) target/release/penstock demo $(DEMO_FLAGS)

test: deps cluster-if-possible fmt-check lint doc unit instructions ## Format, lints, documentation and every test, root ones included

fmt: ## Format the code
	$(CARGO) fmt --all

fmt-check:
	$(CARGO) fmt --all -- --check

lint: ## Clippy; a warning is an error
	$(CARGO) clippy --workspace --all-targets -- -D warnings

doc: ## Build the documentation; a warning is an error
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps

unit:
	$(CARGO) test --workspace

checklist: deps ## Runs the tests; prints which item of the Service rules each proves; fails on an unmet one
	$(CARGO) run -q -p penstock-tests --bin checklist

loom: ## Check the publishing of tables in every interleaving
	RUSTFLAGS="--cfg loom" $(CARGO) test -p penstock-dataplane --lib --target-dir target/loom model::

# Coverage for libFuzzer, which a stable compiler can build in by itself.
FUZZ_TARGETS := parse process flows compile
FUZZ_HOST := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
FUZZ_PROGRAMS := target/fuzz/$(FUZZ_HOST)/fuzz
FUZZ_RUSTFLAGS := --cfg fuzzing -Cpasses=sancov-module $(addprefix -Cllvm-args=-sanitizer-coverage-,level=4 \
	inline-8bit-counters pc-table trace-compares)

fuzz: deps ## Every fuzz target: FUZZ_SECONDS=30 each; FUZZ_TARGETS="parse process flows compile"
	@.ci/deps fuzz
	RUSTFLAGS="$(FUZZ_RUSTFLAGS)" $(CARGO) build -p penstock-tests --features fuzz --profile fuzz \
		--target $(FUZZ_HOST) --target-dir target/fuzz $(FUZZ_TARGETS:%=--bin fuzz-%)
	@for target in $(FUZZ_TARGETS); do \
		echo "fuzz $$target: $(or $(FUZZ_SECONDS),30) s"; \
		folders="target/fuzz/corpus/$$target tests/fuzz/corpus/$$target tests/fuzz/crashes/$$target"; \
		words=tests/fuzz/$$target.dict; \
		mkdir -p $$folders; \
		$(FUZZ_PROGRAMS)/fuzz-$$target $$folders $$([ ! -e $$words ] || echo -dict=$$words) -max_len=4096 \
			-max_total_time=$(or $(FUZZ_SECONDS),30) -timeout=10 -rss_limit_mb=2048 -verbosity=0 -print_final_stats=1 \
			-artifact_prefix=tests/fuzz/crashes/$$target/; \
	done

bench: deps ## Every benchmark; writes target/bench/report.json and the table of benches/README.md
	$(CARGO) bench -p penstock-benches

# The same work in two states of the code. The other state is checked out beside, built in a folder of its own, and both
# share criterion's.
COMPARED := --bench path --bench tables
bench-compare: export CRITERION_HOME := $(CURDIR)/target/criterion
bench-compare: deps ## Benchmarks against those of another revision: BASE=main
	@[ -n "$(BASE)" ] || { echo "make bench-compare: name a revision to compare with: BASE=main" >&2; exit 1; }
	git worktree add --force --detach target/bench-base $(BASE)
	trap 'git worktree remove --force target/bench-base' EXIT; \
	(cd target/bench-base && CARGO_TARGET_DIR=$(CURDIR)/target/bench-base-build \
		$(CARGO) bench -p penstock-benches $(COMPARED) -- --save-baseline base); \
	$(CARGO) bench -p penstock-benches $(COMPARED) -- --baseline base

INSTRUCTIONS := $(CARGO) run -q --release -p penstock-benches --bin instructions
instructions: deps ## Instructions a packet takes, against those on record; fails at 5 % more
	$(INSTRUCTIONS)

instructions-record: deps ## Puts the instructions a packet takes on record
	$(INSTRUCTIONS) -- --record

bench-peers: deps cluster-binaries ## Penstock beside l2fwd, the kernel and kube-proxy; writes target/bench/peers.json; QUICK=1
	@.ci/deps peers
	$(CARGO) build --release -p penstock
	$(CARGO) build --release -p penstock-benches --example bench-peers
	$(ROOT) target/release/examples/bench-peers $(if $(filter-out 0,$(QUICK)),--quick)

# Real Kubernetes, built from its own Go modules: tests/cluster/go.mod.
KUBERNETES := $(shell sed -n 's/^\tk8s.io\/kubernetes v/v/p' tests/cluster/go.mod)
KUBERNETES_NUMBERS := $(subst ., ,$(KUBERNETES:v%=%))
CLUSTER_BUILT := target/cluster/.built-$(KUBERNETES)
CLUSTER_VERSION := k8s.io/component-base/version
CLUSTER_LDFLAGS := -s -w -X $(CLUSTER_VERSION).gitVersion=$(KUBERNETES) \
	-X $(CLUSTER_VERSION).gitMajor=$(word 1,$(KUBERNETES_NUMBERS)) \
	-X $(CLUSTER_VERSION).gitMinor=$(word 2,$(KUBERNETES_NUMBERS))

cluster-binaries: ## Real Kubernetes for the tests, from Go modules (4 min once; KUBEBUILDER_ASSETS: its programs instead)
	@.ci/deps cluster
	@$(MAKE) --no-print-directory $(CLUSTER_BUILT) target/cluster/helm

# Where there is no Go the tests against Kubernetes are skipped, aloud; not in continuous integration.
cluster-if-possible:
	@if [ "$(CI)" = true ] || command -v go >/dev/null; then $(MAKE) --no-print-directory cluster-binaries; fi

$(CLUSTER_BUILT): tests/cluster/go.mod tests/cluster/go.sum tests/cluster/metallb/go.mod $(wildcard tests/cluster/*/main.go)
	cd tests/cluster/metallb && go mod download
	cd tests/cluster && go build -trimpath -buildvcs=false -ldflags '$(CLUSTER_LDFLAGS)' -o ../../target/cluster/ ./...
	touch $@

# Real Helm, for the chart, and the Prometheus Operator's definitions.
target/cluster/helm: $(wildcard tests/deploy/*/go.mod tests/deploy/*/go.sum)
	cd tests/deploy/prometheus-operator && go mod download
	cd tests/deploy/helm && go build -trimpath -buildvcs=false -ldflags '-s -w' -o ../../../$@ helm.sh/helm/v4/cmd/helm

cluster-test: deps cluster-binaries ## Tests against real Kubernetes
	PENSTOCK_CLUSTER=1 $(CARGO) test -p penstock-tests --test cluster --test watching --test in_cluster --test deploy \
		--test differential

cluster-scale: deps cluster-binaries ## 10,000 Services with 100,000 endpoints through a real API server (minutes)
	PENSTOCK_CLUSTER=1 $(CARGO) test --release -p penstock-tests --test in_cluster -- --ignored --nocapture scale

differential: deps cluster-binaries ## Penstock against kube-proxy on random Services: N=300, SEED=7 to have the same ones again
	PENSTOCK_CLUSTER=1 PENSTOCK_DIFFERENTIAL_N=$(or $(N),300) PENSTOCK_DIFFERENTIAL_SEED=$(SEED) \
		$(CARGO) test -p penstock-tests --test differential -- --nocapture random

# Docker with BuildKit, or podman: what keeps file capabilities on COPY.
IMAGE ?= penstock:$(shell sed -n '/^\[workspace.package\]/,/^version/s/^version = "\(.*\)"/\1/p' Cargo.toml)
ENGINE ?= $(shell command -v docker || command -v podman)

image: ## Build the container image: IMAGE=registry.example.com/penstock:0.1.0 ENGINE=podman
	@[ -n "$(ENGINE)" ] || { echo "make image: neither docker nor podman is installed" >&2; exit 1; }
	DOCKER_BUILDKIT=1 $(ENGINE) build -f deploy/Dockerfile -t $(IMAGE) .

clean: ## Remove what was built
	$(CARGO) clean
