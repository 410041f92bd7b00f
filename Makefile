# Everything that is built or installed goes into folders that git ignores:
# bin/, dist/ and node_modules/. The versions of the tools are in hack/tools.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

BIN := $(CURDIR)/bin
STARTED := $(shell date +%s)

# The tools, each pinned in hack/tools/go.mod or in a module of its own.
CONTROLLER_GEN := $(BIN)/controller-gen
CRD_REF_DOCS := $(BIN)/crd-ref-docs
KUSTOMIZE := $(BIN)/kustomize
GOTESTSUM := $(BIN)/gotestsum
GOLANGCI_LINT := $(BIN)/golangci-lint
HELM := $(BIN)/helm
KO := $(BIN)/ko
REAP := $(BIN)/reap

# What tests and demo run. Set KUBEBUILDER_ASSETS to use a kube-apiserver, etcd
# and kubectl that are there already; else they are built, once.
ifeq ($(KUBEBUILDER_ASSETS),)
KUBE_ASSETS := kube-assets
KUBEBUILDER_ASSETS := $(BIN)/k8s
endif
export KUBEBUILDER_ASSETS
export PATH := $(BIN):$(KUBEBUILDER_ASSETS):$(PATH)

# How long each fuzz target runs in "make fuzz".
FUZZTIME ?= 10s
# More flags for "go test", and the packages of test-unit, as in:
# make test-unit PKG=./internal/hash/... TEST_FLAGS='-run TestBuildContext -v'
TEST_FLAGS ?=
export PKG ?= ./...
# The engines that must run: a test of one that is missing fails instead of being skipped. dockerd needs root, and a
# machine with a docker of its own may have no podman.
ENGINES ?= $(shell [[ $$(id -u) != 0 ]] || printf docker-28-containerd,; command -v podman >/dev/null && echo podman || true)
# Your own workspace for the demo, which is not changed: make demo WORKSPACE=/path/to/yours.
WORKSPACE ?=
# Which benchmarks to run, all unless told: make bench BENCH='hash lookup'.
BENCH ?=

.DEFAULT_GOAL := help

##@ Start here

.PHONY: help
help: ## Show this list.
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: export IMAGECACHE_DEMO_WORKSPACE = $(WORKSPACE)
demo: $(BIN)/demo demo-workspace build $(KUBE_ASSETS) devcontainer-cli container-engine $(REAP) ## Take a real workspace, or WORKSPACE=yours, through miss, build, publish and hit; KEEP=1 leaves all running.
	@IMAGECACHE_PREPARE_SECONDS=$$(($$(date +%s) - $(STARTED))) $(if $(KEEP),,$(REAP)) $(BIN)/demo

# A workspace that can't be taken is said before anything is built that takes minutes.
.PHONY: demo-workspace
demo-workspace: $(BIN)/demo
	@$(BIN)/demo check

.PHONY: demo-stop
demo-stop: $(BIN)/demo ## End what KEEP=1 make demo left running.
	@$(BIN)/demo stop

.PHONY: test
test: export IMAGECACHE_ENGINES ?= $(ENGINES)
test: test-env ## Run all tests that CI runs; the summary comes last.
	@RACE_FLAG="$$(hack/race-flag.sh)" TEST_FLAGS="$(TEST_FLAGS)" $(REAP) hack/test.sh unit envtest e2e

##@ Parts of the tests

.PHONY: test-unit
test-unit: jsonc-parser $(GOTESTSUM) $(REAP) ## Run the tests that need no cluster.
	@RACE_FLAG="$$(hack/race-flag.sh)" TEST_FLAGS="$(TEST_FLAGS)" $(REAP) hack/test.sh unit

.PHONY: test-envtest
test-envtest: build $(KUBE_ASSETS) $(GOTESTSUM) $(HELM) $(KUSTOMIZE) $(REAP) ## Run the tests against a real kube-apiserver.
	@RACE_FLAG="$$(hack/race-flag.sh)" TEST_FLAGS="$(TEST_FLAGS)" $(REAP) hack/test.sh envtest

.PHONY: test-e2e
test-e2e: test-env ## Run the tests with real builds, publishes and pulls.
	@RACE_FLAG="$$(hack/race-flag.sh)" TEST_FLAGS="$(TEST_FLAGS)" $(REAP) hack/test.sh e2e

.PHONY: test-engines
test-engines: export IMAGECACHE_ENGINES := all
test-engines: build $(KUBE_ASSETS) engines devcontainer-cli container-engine $(GOTESTSUM) $(REAP) ## Run the tests of the engines: Docker 20.10, 28 and 29, and podman.
	@RACE_FLAG="$$(hack/race-flag.sh)" TEST_FLAGS="$(TEST_FLAGS)" $(REAP) hack/test.sh engine machines

.PHONY: test-long
test-long: export IMAGECACHE_LONG := 1
test-long: export IMAGECACHE_ENGINES ?= $(ENGINES)
test-long: test-env ## Run everything at length, fuzzing for ten minutes a target; takes hours.
	@hack/fuzz.sh 10m
	@RACE_FLAG="$$(hack/race-flag.sh)" TEST_FLAGS="$(TEST_FLAGS) -timeout 4h" $(REAP) hack/test.sh unit envtest e2e

.PHONY: test-clients
test-clients: build ## Drive the emulator with aws, skopeo, podman, crane, oras and docker-credential-ecr-login; verify attached statements with cosign.
	@$(REAP) hack/test-clients/run

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (10s).
	@hack/fuzz.sh $(FUZZTIME)

.PHONY: bench
bench: build $(KUBE_ASSETS) browser devcontainer-cli container-engine engine-docker $(REAP) ## Measure, print a table and write bin/bench.json; BENCH='name ...' selects.
	@hack/go-build.sh bench . -o $(BIN)/bench ./test/bench
	@$(REAP) $(BIN)/bench -o $(BIN)/bench.json $(BENCH)

# What the tests' images consist of. Compiling shows how far it is here, and would try a test's patience there. With a
# second package, go build compiles and links nothing.
.PHONY: compile-images
compile-images:
	@for platform in amd64 arm64; do \
		CGO_ENABLED=0 GOOS=linux GOARCH=$$platform hack/go-build.sh "programs for $$platform" . -trimpath ./api/... \
			./cmd/manager $(if $(IMAGECACHE_LONG),./cmd/imagecache ./cmd/aws-emulator); \
	done

.PHONY: test-env
test-env: compile-images build $(BIN)/demo $(KUBE_ASSETS) browser devcontainer-cli container-engine engine-docker iam-evaluator jsonc-parser prometheus $(GOTESTSUM) $(HELM) $(KO) $(KUSTOMIZE) $(REAP)

##@ Build

.PHONY: build
build: ## Build manager, imagecache and aws-emulator into bin/.
	@CGO_ENABLED=0 hack/go-build.sh programs . -trimpath -ldflags '$(if $(VERSION),-X imagecache.dev/internal/buildinfo.version=$(VERSION))' -o $(BIN)/ ./cmd/manager ./cmd/imagecache ./cmd/aws-emulator

.PHONY: images
images: $(KO) ## Build the images into dist/images, or push them to KO_DOCKER_REPO; VERSION is their tag.
	@hack/images.sh dist

.PHONY: release
release: $(KO) $(HELM) $(KUSTOMIZE) ## Push images to KO_DOCKER_REPO, and make install.yaml and chart of VERSION in dist.
	@hack/release.sh dist

.PHONY: generate
generate: $(CONTROLLER_GEN) ## Generate deep copies, apply configurations, CRDs and RBAC, and copies for chart and dashboard.
	@$(CONTROLLER_GEN) object:headerFile=hack/boilerplate.go.txt paths=./api/v1alpha1
	@rm -rf api/v1alpha1/applyconfiguration
	@$(CONTROLLER_GEN) applyconfiguration:headerFile=hack/boilerplate.go.txt paths=./api/v1alpha1
	@$(CONTROLLER_GEN) crd output:crd:dir=config/crd paths=./api/v1alpha1
	@$(CONTROLLER_GEN) rbac:roleName=imagecache-manager output:rbac:dir=config/rbac paths=./controllers/...
	@hack/chart-files.sh
	@hack/dashboard-assets.sh

.PHONY: docs
docs: $(CRD_REF_DOCS) ## Generate docs/api.md, docs/cli.md, docs/troubleshooting.md and docs/metrics.md.
	@mkdir -p docs
	@$(CRD_REF_DOCS) --source-path=api/v1alpha1 --config=hack/crd-ref-docs.yaml --renderer=markdown \
		--log-level=ERROR --output-path=docs/api.md
	@go run ./hack/reasons api/v1alpha1/conditions.go docs/troubleshooting.md
	@go run ./cmd/imagecache docs docs/cli.md
	@go run ./hack/metrics docs/metrics.md

.PHONY: fmt
fmt: ## Format all Go code.
	@gofmt -s -w $$(git ls-files --cached --others --exclude-standard -- '*.go' | xargs ls -d 2>/dev/null)

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Run all linters.
	@$(GOLANGCI_LINT) run ./...

.PHONY: verify
verify: tools ## Fail if anything generated, formatted or tidied would change, or a linter complains.
	@hack/verify.sh

.PHONY: clean
clean: ## Remove everything that was built and installed here.
	@rm -rf $(BIN) dist hack/tools/{browser,dashboard,devcontainer,iam,jsonc}/node_modules

##@ Tools

.PHONY: tools
tools: $(CONTROLLER_GEN) $(CRD_REF_DOCS) $(KUSTOMIZE) $(GOTESTSUM) $(GOLANGCI_LINT) $(HELM) $(KO) ## Build all tools into bin/; the linters take minutes, once.

.PHONY: kube-assets
kube-assets: ## Build kube-apiserver, etcd and kubectl into bin/k8s, once: 5 to 6 minutes.
	@hack/kube-assets.sh $(BIN)/k8s

.PHONY: devcontainer-cli
devcontainer-cli: ## Install the dev container CLI.
	@hack/devcontainer-cli.sh $(BIN)

.PHONY: browser
browser: ## Make sure that there are chromium and what drives it, for the tests of the dashboard.
	@hack/browser.sh

.PHONY: iam-evaluator
iam-evaluator: ## Install the IAM evaluator that the policies are held against.
	@hack/iam-evaluator.sh --install

.PHONY: jsonc-parser
jsonc-parser: ## Install the parser that the reading of devcontainer.json is compared with.
	@hack/jsonc-parser.sh --install

.PHONY: container-engine
container-engine: ## Make sure that there is podman or a Docker Engine of the tests' own, and a static busybox for base images.
	@hack/container-engine.sh >/dev/null
	@hack/busybox.sh $(BIN)

.PHONY: engines
engines: ## Provide all Docker Engines that tests start, and Docker Compose, in bin/engines; about 18 minutes, once.
	@hack/engines.sh $(BIN)/engines containerd docker20 client compose docker28 docker29

.PHONY: engine-docker
engine-docker: ## Provide Docker Engine 28 with buildx and Docker Compose in bin/engines; about 11 minutes, once.
	@hack/engines.sh $(BIN)/engines containerd client compose docker28

.PHONY: prometheus
prometheus: ## Make sure that there are prometheus and promtool.
	@hack/prometheus.sh $(BIN)

$(CONTROLLER_GEN): TOOL := sigs.k8s.io/controller-tools/cmd/controller-gen
$(CRD_REF_DOCS): TOOL := github.com/elastic/crd-ref-docs
$(KUSTOMIZE): TOOL := sigs.k8s.io/kustomize/kustomize/v5
$(GOTESTSUM): TOOL := gotest.tools/gotestsum
$(CONTROLLER_GEN) $(CRD_REF_DOCS) $(KUSTOMIZE) $(GOTESTSUM): hack/tools/go.mod hack/tools/go.sum
	@CGO_ENABLED=0 hack/go-build.sh $(@F) hack/tools -trimpath -ldflags '-s -w' -o $@ $(TOOL)
	@touch $@

$(GOLANGCI_LINT): hack/tools/golangci-lint/go.mod hack/tools/golangci-lint/go.sum
	@CGO_ENABLED=0 hack/go-build.sh $(@F) hack/tools/golangci-lint -trimpath -ldflags '-s -w' -o $@ \
		sigs.k8s.io/kube-api-linter/cmd/golangci-lint-kube-api-linter
	@touch $@

$(HELM): TOOL := helm.sh/helm/v4/cmd/helm
$(KO): TOOL := github.com/google/ko
$(HELM) $(KO): $(BIN)/%: hack/tools/%/go.mod hack/tools/%/go.sum
	@CGO_ENABLED=0 hack/go-build.sh $(@F) hack/tools/$* -trimpath -ldflags '-s -w' -o $@ $(TOOL)
	@touch $@

$(REAP): $(wildcard hack/reap/*.go internal/process/*.go) go.mod
	@go build -o $@ ./hack/reap
	@touch $@

.PHONY: $(BIN)/demo
$(BIN)/demo:
	@CGO_ENABLED=0 hack/go-build.sh demo . -trimpath -o $@ ./hack/demo
