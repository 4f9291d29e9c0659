package main

import (
	"fmt"
	"os"

	"github.com/quorate-raft/raft/bench/child"
)

func main() {
	if err := child.Main(os.Stdout, os.Args[2:], libraries()...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
