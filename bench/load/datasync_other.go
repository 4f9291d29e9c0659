//go:build !linux

package load

import "os"

// Datasync makes the content of a file durable.
func Datasync(f *os.File) error { return f.Sync() }
