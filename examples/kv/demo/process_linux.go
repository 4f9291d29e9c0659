package demo

import "syscall"

// endWithParent has the kernel kill a child when the demo ends, also if that was killed.
func endWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
