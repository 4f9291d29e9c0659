// Command bench compares this repository's raft with its peers, row by row, and writes a table and a chart.
//
//	go -C bench run .              all rows, six samples of each; writes results and docs/performance.md
//	go -C bench run . -short       in two minutes; writes nothing
//	go -C bench run . -rows propose
//	go -C bench run . render       the tables and the charts anew, from the samples in results
//	go -C bench run . scaling      how cost grows with voters, the log, payload, proposals, groups; -short writes nothing
//	go -C bench run . gate         instructions and allocations against gates.txt
//	go -C bench run . sample -lib ours -row propose/3 -cpuprofile cpu.prof
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/quorate-raft/raft/bench/child"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := command(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "sample":
			return child.Main(os.Stdout, args[1:], libraries()...)
		case "gate":
			return runGate(ctx, os.Stdout, args[1:])
		case "scaling":
			return scaling(ctx, os.Stdout, args[1:])
		case "render":
			return render()
		}
	}
	return compare(ctx, os.Stdout, args)
}
