//go:build unix && !linux

package processtest

import "syscall"

func dieWithParent() *syscall.SysProcAttr { return nil }
