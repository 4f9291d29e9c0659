package core

import "fmt"

// EntryOverhead is more than what an entry has on the wire beside its data, in bytes.
const EntryOverhead = 32

// Quiet is a logger for etcd's raft that says nothing, and panics where it has to.
type Quiet struct{}

// Debug says nothing.
func (Quiet) Debug(...any) {}

// Debugf says nothing.
func (Quiet) Debugf(string, ...any) {}

// Error says nothing.
func (Quiet) Error(...any) {}

// Errorf says nothing.
func (Quiet) Errorf(string, ...any) {}

// Info says nothing.
func (Quiet) Info(...any) {}

// Infof says nothing.
func (Quiet) Infof(string, ...any) {}

// Warning says nothing.
func (Quiet) Warning(...any) {}

// Warningf says nothing.
func (Quiet) Warningf(string, ...any) {}

// Fatal panics.
func (Quiet) Fatal(v ...any) { panic(fmt.Sprint(v...)) }

// Fatalf panics.
func (Quiet) Fatalf(format string, v ...any) { panic(fmt.Sprintf(format, v...)) }

// Panic panics.
func (Quiet) Panic(v ...any) { panic(fmt.Sprint(v...)) }

// Panicf panics.
func (Quiet) Panicf(format string, v ...any) { panic(fmt.Sprintf(format, v...)) }
