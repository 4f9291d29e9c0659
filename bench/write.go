package main

import (
	"fmt"
	"math"
	"runtime"
	"time"

	"github.com/quorate-raft/raft/bench/core"
	"github.com/quorate-raft/raft/bench/report"
)

// output is where results go, from the directory of this module.
var (
	output        = report.Output{Name: "core", Dir: "results", Page: "../docs/performance.md"}
	scalingOutput = report.Output{Name: "scaling", Dir: output.Dir, Page: output.Page}
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
		samples, length, report.Machine(), runtime.Version(), time.Now().Format(time.DateOnly))
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
	if err := output.Save(r); err != nil {
		return err
	}
	return r.render()
}

// render makes the tables and the charts from the samples that are there.
func render() error {
	var r record
	if err := output.Load(&r); err != nil {
		return err
	}
	if err := r.render(); err != nil {
		return err
	}
	var s record
	if err := scalingOutput.Load(&s); err != nil {
		return err
	}
	return s.renderScaling()
}

// render writes the tables, also into docs/performance.md, and the chart.
func (r record) render() error {
	tables := r.About + " " + report.Summary(r.results()) + "\n\n" + report.Table(r.results())
	if len(r.Instructions) > 0 {
		tables += "\nInstructions, counted by valgrind with the garbage collector off:\n\n" + report.InstructionTable(r.Instructions)
	}
	heading := "# Cores in memory\n\nWritten by `go -C bench run .`; docs/performance.md explains it."
	return output.Render(heading, tables, report.Chart("What a consensus core takes, against etcd's raft 3.6", r.results(), report.Etcd37))
}
