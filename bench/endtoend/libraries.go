package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/quorate-raft/raft/bench/child"
	"github.com/quorate-raft/raft/bench/endtoend/etcd36"
	"github.com/quorate-raft/raft/bench/endtoend/ours"
	"github.com/quorate-raft/raft/bench/load"
	"github.com/quorate-raft/raft/bench/report"
)

// libraries are all that are compared, in the order in which they take turns. Those with a module have a
// program of their own, since what they need would change the versions that others get.
var libraries = []struct{ key, title, module string }{
	{"ours", report.Ours, ""},
	{"etcd36", report.Etcd36, ""},
	{"hashicorp", report.Hashicorp, "hashicorp"},
	{"dragonboat", report.Dragonboat, "dragonboat"},
}

// keys are how -libs names the libraries.
func keys() []string {
	var all []string
	for _, l := range libraries {
		all = append(all, l.key)
	}
	return all
}

// ownLibraries are those that this program samples itself.
func ownLibraries() []load.Library { return append(ours.Libraries(), etcd36.Library) }

// programs are the command lines that take samples, by the titles of the libraries.
type programs map[string][]string

// newPrograms builds what is not this program itself, in dir.
func newPrograms(ctx context.Context, dir string, o options) (programs, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := programs{}
	for _, l := range libraries {
		switch {
		case !slices.Contains(o.libs, l.key):
		case l.key == "ours":
			p[l.title] = []string{self, "sample", "-lib", ours.Name(o.storage)}
		case l.module == "":
			p[l.title] = []string{self, "sample", "-lib", l.key}
		default:
			program, err := child.Build(ctx, l.module, dir)
			if err != nil {
				return nil, err
			}
			p[l.title] = []string{program}
			if l.key == "dragonboat" {
				p[l.title] = append(p[l.title], "-lib", "dragonboat/"+o.logdb)
			}
		}
	}
	return p, nil
}

// titles are those of the libraries that there are programs of, in turn.
func (p programs) titles() []string {
	var all []string
	for _, l := range libraries {
		if p[l.title] != nil {
			all = append(all, l.title)
		}
	}
	return all
}

// attempts is how often a sample is tried.
const attempts = 3

// sample has a process take a sample. It is taken again if it fails, since on a busy machine a leader may lose its office,
// and then there is nothing to be measured; and if others were busier than o.quiet. The last one counts all the same.
func (p programs) sample(ctx context.Context, title string, writers int, o options) (s load.Sample, err error) {
	line := append(slices.Clone(p[title]), "-writers", strconv.Itoa(writers), "-size", strconv.Itoa(o.Size),
		"-time", o.Span.String(), "-warm", o.Warm.String(), "-dir", o.Dir)
	if o.profile != "" {
		line = append(line, "-cpuprofile", o.profile)
	}
	for range attempts {
		var out []byte
		if out, err = child.Run(ctx, line, "GOMAXPROCS="+strconv.Itoa(o.processors)); err == nil {
			err = json.Unmarshal(out, &s)
			if err == nil && s.Others > o.quiet {
				fmt.Fprintf(os.Stderr, "%s, %d writers: others took %.0f %% of the processors\n", title, writers, 100*s.Others)
				continue
			}
			return s, err
		}
		if ctx.Err() != nil {
			break
		}
		fmt.Fprintf(os.Stderr, "%s, %d writers: a sample failed: %v\n", title, writers, err)
	}
	return s, err
}
