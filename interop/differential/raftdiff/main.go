// Command raftdiff compares this module's core with etcd's, step by step, on
// random inputs; package differential says how.
//
//	go run ./differential/raftdiff -steps 10000000      seeds 1, 2, ... until so many steps are made
//	go run ./differential/raftdiff -seed 42 -steps 1    one run
//
// The exit status is 1 if a difference was found that no rule explains; it is
// printed with a shortened transcript of both sides.
package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/quorate-raft/raft/interop/differential"
)

func main() {
	seed := flag.Uint64("seed", 1, "the first run's `seed`")
	steps := flag.Uint64("steps", 300_000, "make runs until there were so many `steps`")
	quiet := flag.Bool("quiet", false, "print no counts of rules")
	flag.Parse()
	began := time.Now()
	res, err := differential.Run(*seed, *steps)
	took := time.Since(began)
	fmt.Printf("seed %d: %d runs, %d steps, %.0f steps/s\n", *seed, res.Runs, res.Steps, float64(res.Steps)/took.Seconds())
	if !*quiet {
		for _, name := range slices.Sorted(maps.Keys(res.Fired)) {
			fmt.Printf("%10d  %s\n", res.Fired[name], name)
		}
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
