// Command hashicorp takes samples of github.com/hashicorp/raft for bench/endtoend. It is a module of its own,
// so that what the library needs does not change the versions that others get.
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
	if err := load.Main(ctx, os.Stdout, os.Args[1:], library); err != nil {
		fmt.Fprintln(os.Stderr, "hashicorp:", err)
		os.Exit(1)
	}
}
