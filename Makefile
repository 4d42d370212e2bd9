# What you need: Go 1.26. Everything else is fetched by Go itself; the long tests
# also want Debian's chromium, which `make test-long` installs when run as root.

GO        ?= go
GOFUMPT   := mvdan.cc/gofumpt@v0.12.0
STATIC    := honnef.co/go/tools/cmd/staticcheck@v0.8.2
VULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
FUZZTIME  ?= 30s
export CGO_ENABLED = 1
export GOFLAGS ?= -buildvcs=false

.PHONY: build test test-unit test-race test-integration test-long bench lint fuzz mutate clean

build:
	$(GO) build -trimpath -o bin/gatehouse ./cmd/gatehouse

# Unit tests, race tests and the core integration of the real binary.
test: test-unit test-race test-integration

# Packages that do not link Caddy, under the race detector, fuzz seeds included.
PLAIN = $(shell $(GO) list ./decision/... ./cache/... ./caddymodule/pages ./integration/vectors ./integration/house)

test-unit:
	$(GO) vet ./...
	$(GO) test ./cmd/...

test-race:
	$(GO) test -race -shuffle=on $(PLAIN) ./caddymodule

test-integration:
	$(GO) test -race -timeout 20m ./integration/gateway/...

# Browser and long suites, as they come.
test-long: mutate

mutate:
	$(GO) run ./integration/mutation

bench:
	$(GO) run ./integration/bench

lint:
	@out=$$($(GO) run $(GOFUMPT) -l .); if [ -n "$$out" ]; then echo "not gofumpt-clean:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...
	$(GO) run $(STATIC) ./...

vuln:
	$(GO) run $(VULNCHECK) ./...

# Every fuzz target of the tree for FUZZTIME each.
fuzz:
	@grep -rl --include='*_test.go' '^func Fuzz' decision cache caddymodule | while read -r f; do \
	  sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$f" | while read -r name; do \
	    echo "== $$name ($$(dirname $$f))"; \
	    $(GO) test ./$$(dirname $$f) -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 200x || exit 1; \
	  done || exit 1; \
	done

clean:
	rm -rf bin
