# For people; .ci/run is what these share with continuous integration, and needs no make.

FUZZTIME ?= 100000x

.PHONY: generate figures lint test race fuzz simulate bugs explore hunt bench scaling gates browser cover nightly weekly ci

# generate writes raftpb/raft.pb.go from raftpb/raft.proto; no protoc is needed.
generate:
	GOWORK=off go -C tools run ./genproto

# figures writes docs/figures/*.svg, by playing their scripts with real nodes.
figures:
	go run ./docs/figures

# lint runs gofmt, go vet and staticcheck in all modules.
lint:
	.ci/run lint

test:
	go test ./...

race:
	.ci/run race

# fuzz runs every fuzz target on FUZZTIME inputs, one after the other.
fuzz:
	FUZZTIME=$(FUZZTIME) .ci/run fuzz

# explore goes through every state of small groups.
explore:
	.ci/run explore

# simulate makes the runs of continuous integration; go run ./cmd/raftsim makes others.
simulate:
	.ci/run simulate

# bugs shows that the simulator catches known bugs, by recorded seeds; hunt searches for them, HUNTTIME each.
bugs hunt:
	.ci/run $@

# bench compares with the peers and writes bench/results and docs/performance.md; in two minutes and without writing
# anything: go -C bench run . -short, and the same in bench/endtoend.
bench:
	GOWORK=off go -C bench run .
	GOWORK=off go -C bench/endtoend run .

# scaling measures how cost grows, and writes bench/results/scaling.* and docs/performance.md.
scaling:
	GOWORK=off go -C bench run . scaling

# gates compares instructions and allocations of an operation with bench/gates.txt; needs valgrind.
gates:
	.ci/run gates

# browser tests the space-time diagram, and the page of raftkv demo, in a Chromium that is installed.
browser:
	cd rafttest/spacetime/browsertest && RAFT_BROWSER=1 GOWORK=off go test ./...
	cd examples/kv/demo/browsertest && RAFT_BROWSER=1 GOWORK=off go test ./...

# cover prints the coverage of each function; .bin/cover.out can be shown with `go tool cover -html`.
cover:
	mkdir -p .bin
	go test -coverprofile=.bin/cover.out ./...
	go tool cover -func=.bin/cover.out

# nightly is what takes too long for every change, weekly what takes too long for every night.
nightly weekly:
	.ci/run $@

ci:
	.ci/run
