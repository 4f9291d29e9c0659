package main

import "github.com/quorate-raft/raft/bench/report"

// output is where results go, from the directory of this module.
var output = report.Output{Name: "endtoend", Dir: "../results", Page: "../../docs/performance.md"}

// record is what a run found: all that the table and the chart are made from.
type record struct {
	// About says how, where and when the samples were taken.
	About   string
	Results []report.HostResult
}

func (r record) tables() string {
	return r.About + " " + report.HostSummary(r.Results) + "\n\n" + report.HostTable(r.Results)
}

// write writes the samples, and what is made from them.
func (r record) write() error {
	if err := output.Save(r); err != nil {
		return err
	}
	return r.render()
}

// render makes the table and the chart from the samples that are there.
func render() error {
	var r record
	if err := output.Load(&r); err != nil {
		return err
	}
	return r.render()
}

func (r record) render() error {
	heading := "# End to end\n\nWritten by `go -C bench/endtoend run .`; docs/performance.md explains it."
	chart := report.Chart("What a write takes end to end, against etcd's raft 3.6 in a host made for it", report.HostRows(r.Results), report.Hashicorp, report.Dragonboat)
	return output.Render(heading, r.tables(), chart)
}
