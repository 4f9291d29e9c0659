//go:build !linux

package demo

import "syscall"

// endWithParent does nothing where no kernel ends a child with its parent. A signal from
// the terminal reaches children too, as they are of the same group.
func endWithParent() *syscall.SysProcAttr { return nil }
