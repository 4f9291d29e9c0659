package load

import (
	"os"

	"golang.org/x/sys/unix"
)

// Datasync makes the content of a file durable.
func Datasync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
