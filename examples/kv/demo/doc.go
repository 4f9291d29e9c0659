// Package demo tells, on one machine and in less than a minute, the story of a
// replicated key-value store: three servers start, keys are loaded, the leader is killed
// and comes back, a fourth server joins and is made a voter, a fifth takes a voter's
// place by joint consensus; and then everything is read back, and what clients saw is
// checked for linearizability.
//
// The servers are processes of their own that talk over loopback with mutual TLS. All that
// is reported was measured or read from them. A page shows the run while it lasts.
//
// By file: demo.go is the frame, steps.go the story. certificates.go, process.go and
// cluster.go are about the servers, load.go, history.go and meter.go about the clients and
// what they saw, readback.go about whether it was true. printer.go and summary.go write for
// people, monitor.go and page.go are the page.
package demo
