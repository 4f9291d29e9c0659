// Command endtoend measures writes through whole hosts: three replicas in one process, every write synced to disk, and TCP
// on loopback. It compares package replica with its peers, and writes a table and a chart.
//
//	go -C bench/endtoend run .              # all; writes bench/results and docs/performance.md
//	go -C bench/endtoend run . -short       # in two minutes; writes nothing
//	go -C bench/endtoend run . -libs ours,etcd36 -writers 1,64 -dir DIRECTORY
//	go -C bench/endtoend run . -libs ours -writers 64 -time 10s -cpuprofile cpu.prof
//	go -C bench/endtoend run . render       # the table and the chart anew, from the samples in bench/results
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/quorate-raft/raft/bench/load"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := command(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "endtoend:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "sample":
			return load.Main(ctx, os.Stdout, args[1:], ownLibraries()...)
		case "render":
			return render()
		}
	}
	return compare(ctx, os.Stdout, args)
}
