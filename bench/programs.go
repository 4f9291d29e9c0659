package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"

	"github.com/quorate-raft/raft/bench/child"
	"github.com/quorate-raft/raft/bench/core"
	"github.com/quorate-raft/raft/bench/report"
)

// programs are the command lines that take samples, by library.
type programs map[string][]string

// ownPrograms are the libraries that are in this program itself.
func ownPrograms() (programs, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := programs{}
	for _, lib := range libraries() {
		p[lib.Name] = []string{self, "sample"}
	}
	return p, nil
}

// newPrograms builds what is not this program itself, in dir.
func newPrograms(ctx context.Context, dir string) (programs, error) {
	p, err := ownPrograms()
	if err != nil {
		return nil, err
	}
	v37, err := child.Build(ctx, "v37", dir)
	if err != nil {
		return nil, err
	}
	p[report.Etcd37] = []string{v37}
	return p, nil
}

// of returns the libraries that do the row, in the order of the columns.
func (p programs) of(key string) []string {
	var libs []string
	for _, lib := range report.Columns() {
		i := slices.IndexFunc(libraries(), func(l child.Library) bool { return l.Name == lib })
		if i < 0 || libraries()[i].Does(key) {
			libs = append(libs, lib)
		}
	}
	return libs
}

// sample runs the program of lib for one sample.
func (p programs) sample(ctx context.Context, lib, key string, args ...string) (core.Sample, error) {
	return p.sampleWith(ctx, nil, lib, key, args...)
}

// sampleWith is sample with variables of the environment.
func (p programs) sampleWith(ctx context.Context, env []string, lib, key string, args ...string) (core.Sample, error) {
	line := append(append([]string{}, p[lib]...), "-lib", lib, "-row", key)
	line = append(line, args...)
	var s core.Sample
	out, err := child.Run(ctx, line, append(env, "GOMAXPROCS=1")...)
	if err != nil {
		return s, err
	}
	err = json.Unmarshal(out, &s)
	return s, err
}

// countedOps is how many operations instructions are counted for, and twice that, so that the difference is theirs:
// so many that what varies from start to start is below a hundredth.
func countedOps(key string) int {
	if key == "propose64/3" {
		return 500
	}
	return 4000
}

// instructions counts those of an operation.
func (p programs) instructions(ctx context.Context, lib, key string) (float64, error) {
	return p.instructionsOf(ctx, lib, key, countedOps(key))
}

// instructionsOf counts those of an operation under valgrind, with the garbage collector off, by n operations and 2n.
func (p programs) instructionsOf(ctx context.Context, lib, key string, n int) (float64, error) {
	first, err := p.collected(ctx, lib, key, n)
	if err != nil {
		return 0, err
	}
	second, err := p.collected(ctx, lib, key, 2*n)
	return (second - first) / float64(n), err
}

var collected = regexp.MustCompile(`Collected : (\d+)`)

// collected is what a process that does n operations executes in all.
func (p programs) collected(ctx context.Context, lib, key string, n int) (float64, error) {
	log, err := os.CreateTemp("", "callgrind")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.Remove(log.Name()) }()
	_ = log.Close()
	line := append([]string{"valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--log-file=" + log.Name()}, p[lib]...)
	line = append(line, "-lib", lib, "-row", key, "-n", strconv.Itoa(n))
	if _, err := child.Run(ctx, line, "GOMAXPROCS=1", "GOGC=off", "GODEBUG=asyncpreemptoff=1"); err != nil {
		return 0, err
	}
	text, err := os.ReadFile(log.Name())
	if err != nil {
		return 0, err
	}
	match := collected.FindSubmatch(text)
	if match == nil {
		return 0, fmt.Errorf("valgrind did not say what it collected:\n%s", text)
	}
	return strconv.ParseFloat(string(match[1]), 64)
}
