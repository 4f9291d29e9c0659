package main

import (
	"fmt"
	"io"

	"github.com/lni/dragonboat/v4/logger"
	"github.com/lni/dragonboat/v4/statemachine"

	"github.com/quorate-raft/raft/bench/load"
)

// machine counts. It takes entries in batches.
type machine struct{ *load.Machine }

var _ statemachine.IConcurrentStateMachine = machine{}

// Update implements statemachine.IConcurrentStateMachine, as the following do.
func (m machine) Update(entries []statemachine.Entry) ([]statemachine.Entry, error) {
	for i := range entries {
		m.Apply(entries[i].Cmd)
	}
	return entries, nil
}

func (m machine) Lookup(any) (any, error) { return nil, nil }

func (m machine) PrepareSnapshot() (any, error) { return m.Snapshot(), nil }

func (m machine) SaveSnapshot(state any, w io.Writer, _ statemachine.ISnapshotFileCollection, _ <-chan struct{}) error {
	_, err := w.Write(state.([]byte))
	return err
}

func (m machine) RecoverFromSnapshot(r io.Reader, _ []statemachine.SnapshotFile, _ <-chan struct{}) error {
	return m.Restore(r)
}

func (machine) Close() error { return nil }

// quiet is a logger that says nothing, and panics where it has to.
type quiet struct{}

// SetLevel implements logger.ILogger, as the following do.
func (quiet) SetLevel(logger.LogLevel)        {}
func (quiet) Debugf(string, ...interface{})   {}
func (quiet) Infof(string, ...interface{})    {}
func (quiet) Warningf(string, ...interface{}) {}
func (quiet) Errorf(string, ...interface{})   {}

func (quiet) Panicf(format string, v ...interface{}) { panic(fmt.Sprintf(format, v...)) }
