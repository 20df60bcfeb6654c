# Few targets, each one command. `make help` lists them.

ADDRESS  ?= 127.0.0.1:8000
FUZZTIME ?= 60s
SOAK     ?= 20
CYCLES   ?= 1000
KILLS    ?= 100
MEASURED  = ^Test(SteppedLoad|ShortRequests|SlowAfterShort|DjangoWorkerStart|Development|SupervisedSite)$$

.PHONY: help run build test measure bench profile fuzz soak streams services logs leaks

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /make \1	/p' $(MAKEFILE_LIST)

run: build ## build, and serve the demo app on 127.0.0.1:8000; needs Go and python3 alone
	@mkdir -p .cache/demo
	@echo "open http://$(ADDRESS)/ (Ctrl-C stops it)"
	@cd .cache/demo && exec ../../bin/millrace serve --listen $(ADDRESS)

build: ## the one binary, bin/millrace
	@CGO_ENABLED=0 go build -o bin/millrace ./cmd/millrace

test: ## install what the tests need, then run every check and every test
	@scripts/test.sh

measure: ## what is said of speed in seconds, on a machine that does nothing else
	@scripts/setup.sh
	@MILLRACE_QUIET=1 go test -count=1 -v -p 1 -run '$(MEASURED)' ./internal/pool ./e2e

bench: build ## millrace beside its peers; BENCH="-only hello -report docs/bench" passes flags
	@scripts/setup.sh bench
	@go run ./bench $(BENCH)

profile: ## cmd/millrace/default.pgo anew: what the compiler knows to be hot
	@scripts/setup.sh bench
	@scripts/profile.sh

fuzz: ## every fuzz test for FUZZTIME (60s)
	@scripts/fuzz.sh $(FUZZTIME)

soak: ## the tests with processes and connections, SOAK (20) times over
	@scripts/setup.sh
	@go test -race -count=$(SOAK) -failfast -timeout 3h ./internal/pool ./internal/server ./internal/upstream ./fcgi ./scgi ./uwsgi ./ajp ./cgi ./e2e ./e2e/peers

streams: ## 5 GB through back ends, both ways at once, in constant memory
	@scripts/setup.sh
	@MILLRACE_STREAM_BYTES=5000000000 go test -v -timeout 1h -run 'StreamMemory' ./e2e

services: ## 1,000 services under one svscan, and a Django site killed KILLS (100) times under another
	@scripts/setup.sh
	@MILLRACE_SERVICES=1000 go test -count=1 -v -run '^TestMany$$' ./internal/daemontools
	@MILLRACE_KILLS=$(KILLS) MILLRACE_QUIET=1 go test -count=1 -v -run '^TestSupervisedSite$$' ./e2e

logs: ## multilog beside the original, in LOGS (a folder; default: the temporary one)
	@scripts/setup.sh
	@MILLRACE_LOGS=$(LOGS) go test -run '^$$' -bench Multilog -benchtime 5s ./internal/daemontools

leaks: ## CYCLES (1000) reloads and as many upgrades; what is there before and after
	@scripts/setup.sh
	@MILLRACE_CYCLES=$(CYCLES) go test -v -timeout 3h -run 'LeakNothing' ./e2e
