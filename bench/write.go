package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/quorate-raft/raft/bench/core"
	"github.com/quorate-raft/raft/bench/report"
)

// Where results go, from the directory of this module.
const (
	resultsDir = "results"
	page       = "../docs/performance.md"
)

// record is what a run found: all that the tables and the chart are made from.
type record struct {
	// About says how, where and when the samples were taken.
	About string
	// Samples are those of each row and library, in the order in which they were taken.
	Samples      map[string]map[string][]core.Sample
	Instructions report.Instructions
}

func newRecord(results []report.Result, counts report.Instructions, o options) record {
	r := record{
		About:        about(o.samples, o.length),
		Samples:      make(map[string]map[string][]core.Sample),
		Instructions: counts,
	}
	r.add(results)
	return r
}

// about says how, where and when samples are taken.
func about(samples int, length time.Duration) string {
	return fmt.Sprintf("Medians of %d samples of %v of processor time, the libraries in turn, GOMAXPROCS=1: %s, %s, %s.",
		samples, length, machine(), runtime.Version(), time.Now().Format(time.DateOnly))
}

// add adds the samples of results.
func (r record) add(results []report.Result) {
	for _, result := range results {
		r.Samples[result.Key] = make(map[string][]core.Sample)
		for lib, samples := range result.Samples {
			for _, s := range samples {
				r.Samples[result.Key][lib] = append(r.Samples[result.Key][lib], rounded(s))
			}
		}
	}
}

// rounded keeps of a sample what it is exact to.
func rounded(s core.Sample) core.Sample {
	for _, v := range []*float64{&s.Value, &s.Allocs, &s.Bytes, &s.Messages} {
		*v = math.Round(*v*1000) / 1000
	}
	return s
}

// results are the rows that there are samples of, in the order of the table.
func (r record) results() []report.Result {
	var all []report.Result
	for _, row := range core.Rows() {
		if samples, ok := r.Samples[row.Key]; ok {
			all = append(all, report.Result{Row: row, Samples: samples})
		}
	}
	return all
}

// write writes the samples, and what is made from them.
func (r record) write() error {
	if err := r.save("core.json"); err != nil {
		return err
	}
	return r.render()
}

// save writes the samples to a file of the results.
func (r record) save(name string) error {
	b, err := json.MarshalIndent(r, "", "")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(resultsDir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(resultsDir, name), append(b, '\n'), 0o644)
}

// load reads the samples from a file of the results.
func load(name string) (r record, err error) {
	b, err := os.ReadFile(filepath.Join(resultsDir, name))
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(b, &r)
}

// render makes the tables and the charts from the samples that are there.
func render() error {
	r, err := load("core.json")
	if err != nil {
		return err
	}
	if err := r.render(); err != nil {
		return err
	}
	r, err = load(scalingFile)
	if err != nil {
		return err
	}
	return r.renderScaling()
}

// render writes the tables, also into docs/performance.md, and the chart.
func (r record) render() error {
	tables := r.About + " " + report.Summary(r.results()) + "\n\n" + report.Table(r.results())
	if len(r.Instructions) > 0 {
		tables += "\nInstructions, counted by valgrind with the garbage collector off:\n\n" + report.InstructionTable(r.Instructions)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	spliced, err := report.Splice(string(text), "core", tables)
	if err != nil {
		return err
	}
	for name, content := range map[string]string{
		filepath.Join(resultsDir, "core.md"):  "# Cores in memory\n\nWritten by `go -C bench run .`; docs/performance.md explains it.\n\n" + tables,
		filepath.Join(resultsDir, "core.svg"): string(report.Chart("What a consensus core takes, against etcd's raft 3.6", r.results())),
		page:                                  spliced,
	} {
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
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
