package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/quorate-raft/raft/bench/report"
)

// Where results go, from the directory of this module.
const (
	resultsDir = "results"
	page       = "../docs/performance.md"
)

// writeResults writes the table and the chart, and the table into docs/performance.md.
func writeResults(results []report.Result, counts report.Instructions, o options) error {
	about := fmt.Sprintf("Medians of %d samples of %v of processor time, the libraries in turn, GOMAXPROCS=1: %s, %s, %s.\n",
		o.samples, o.length, machine(), runtime.Version(), time.Now().Format(time.DateOnly))
	tables := about + "\n" + report.Table(results)
	if len(counts) > 0 {
		tables += "\nInstructions, counted by valgrind with the garbage collector off:\n\n" + report.InstructionTable(counts)
	}
	write := func(name string, content []byte) error {
		return os.WriteFile(filepath.Join(resultsDir, name), content, 0o644)
	}
	if err := os.MkdirAll(resultsDir, 0o755); err != nil {
		return err
	}
	if err := write("core.md", []byte("# Cores in memory\n\nWritten by `go -C bench run .`; docs/performance.md explains it.\n\n"+tables)); err != nil {
		return err
	}
	if err := write("core.svg", report.Chart("Time of a consensus core, against etcd's raft 3.6", results)); err != nil {
		return err
	}
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	spliced, err := report.Splice(string(text), "core", tables)
	if err != nil {
		return err
	}
	return os.WriteFile(page, []byte(spliced), 0o644)
}

// machine describes the processor, as far as it can be known.
func machine() string {
	model := runtime.GOARCH
	if f, err := os.Open("/proc/cpuinfo"); err == nil {
		defer func() { _ = f.Close() }()
		for scan := bufio.NewScanner(f); scan.Scan(); {
			if name, value, ok := strings.Cut(scan.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%s with %d processors, %s/%s", model, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
}
