# What you need: Go 1.26; for the tests also gcc (race detector) and curl, and for the
# long ones MIT Kerberos. Everything else is fetched by Go itself.

GO        ?= go
GOFUMPT   := mvdan.cc/gofumpt@v0.12.0
STATIC    := honnef.co/go/tools/cmd/staticcheck@v0.8.2
VULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
FUZZTIME  ?= 30s
# Only the shipped binary is built with the profile in cmd/gatehouse, which takes
# minutes the first time because every package is compiled anew; tests do without.
export GOFLAGS ?= -buildvcs=false -pgo=off

.PHONY: build setup test test-unit test-race test-integration test-long test-kdc setup-kdc test-alerts setup-promtool test-outage test-scale mutate bench lint vuln fuzz clean

build:
	$(GO) build -trimpath -pgo=auto -o bin/gatehouse ./cmd/gatehouse

# Go, a C compiler for the race detector, and curl for the commands that README and
# the examples print. As root on Debian what is missing is installed; otherwise you
# are told.
setup:
	@command -v $(GO) >/dev/null || { echo "Go 1.26 or later is needed: https://go.dev/dl"; exit 1; }
	@missing=; command -v gcc >/dev/null || missing="gcc libc6-dev"; \
	command -v curl >/dev/null || missing="$$missing curl ca-certificates"; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update -q && apt-get install -qy $$missing; \
	  else echo "the tests need $$missing: install it (Debian: sudo apt-get install $$missing)"; exit 1; fi; \
	fi

# Unit tests, race tests and the core integration of the real binary.
test: setup test-unit test-race test-integration

# Packages that run inside the test process, fuzz seeds included.
UNIT = ./decision/... ./cache/... ./caddymodule/... ./cmd/... ./examples/... ./integration/emulator/...
# Tests of the tree itself and of the test tools.
PLAIN = ./integration/house ./integration/vectors ./integration/mutation ./integration/bench ./integration/sources
# Black-box tests of the real binary.
BLACKBOX = ./integration/gateway ./integration/replay ./integration/commands ./integration/caddyfile ./integration/examples \
	./integration/fleet

test-unit:
	$(GO) vet ./...
	$(GO) test $(PLAIN)

test-race:
	CGO_ENABLED=1 $(GO) test -race -shuffle=on -timeout 15m $(UNIT)

# The binary under test has the race detector too; a race in it fails the test.
test-integration: bin/gatehouse-race
	GATEHOUSE_BINARY=$(CURDIR)/bin/gatehouse-race CGO_ENABLED=1 $(GO) test -race -timeout 20m -p 1 $(BLACKBOX)

.PHONY: bin/gatehouse-race
bin/gatehouse-race:
	CGO_ENABLED=1 $(GO) build -race -o $@ ./cmd/gatehouse

# Long suites, as they come: every deny branch of the engine is flipped once,
# Kerberos is spoken with a real key distribution centre, a real Prometheus sees
# gateways whose tenants go away, every source fails in real time, and a tenant of
# 100,000 devices is read.
test-long: setup mutate test-kdc test-alerts test-outage test-scale

# Every source fails in real time for some minutes. A busy machine fails nothing: an
# answer is judged by the moments between which it was decided.
test-outage:
	GATEHOUSE_LONG=1 $(GO) test -count=1 -parallel 4 -timeout 20m -run TestSourceFails ./integration/fleet

# The published limits of a tenant of 100,000 devices, in a time of their own.
test-scale:
	GATEHOUSE_LONG=1 $(GO) test -count=1 -timeout 20m -run TestColdSync ./integration/sources

# The tests make a realm of their own on loopback; nothing of the system's is used.
test-kdc: setup-kdc
	GATEHOUSE_TEST_KDC=1 $(GO) test -count=1 -run KDC ./decision/source/configmgr

# Debian has these programs in sbin, which is not on everybody's path.
setup-kdc:
	@missing=; for p in krb5kdc kdb5_util kadmin.local; do \
	  PATH="$$PATH:/usr/sbin:/sbin" command -v $$p >/dev/null || missing="$$missing $$p"; \
	done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    export DEBIAN_FRONTEND=noninteractive; \
	    apt-get update -q && apt-get install -qy --no-install-recommends krb5-kdc krb5-admin-server; \
	  else echo "the tests of Kerberos need$$missing: install MIT Kerberos (Debian: sudo apt-get install krb5-kdc krb5-admin-server)"; exit 1; fi; \
	fi

# The shipped alert rules: their unit tests, and that they fire.
test-alerts: setup-promtool
	GATEHOUSE_TEST_PROMTOOL=1 $(GO) test -count=1 -timeout 15m -run 'Promtool|AlertsFire' ./integration/fleet

# Both programs are taken out of Debian's package. To install it would start a server
# on port 9090 of this machine.
setup-promtool:
	@if [ -x bin/promtool ] && [ -x bin/prometheus ]; then exit 0; fi; \
	if command -v promtool >/dev/null && command -v prometheus >/dev/null; then exit 0; fi; \
	if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then \
	  echo "the tests of the alert rules need promtool and prometheus: install them, or put them into bin/"; exit 1; fi; \
	if [ "$$(id -u)" = 0 ]; then apt-get update -q; fi; \
	dir=$$(mktemp -d) && \
	(cd "$$dir" && apt-get download -q prometheus && dpkg-deb -x prometheus_*.deb .) && \
	mkdir -p bin && cp "$$dir/usr/bin/promtool" "$$dir/usr/bin/prometheus" bin/; \
	status=$$?; rm -rf "$$dir"; exit $$status

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
	@grep -rl --include='*_test.go' '^func Fuzz' . | while read -r f; do \
	  sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$f" | while read -r name; do \
	    echo "== $$name ($$(dirname $$f))"; \
	    $(GO) test ./$$(dirname $$f) -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 200x || exit 1; \
	  done || exit 1; \
	done

clean:
	rm -rf bin
