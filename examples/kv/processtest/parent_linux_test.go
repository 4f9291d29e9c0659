package processtest

import "syscall"

// dieWithParent lets no server outlive a test that crashes.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
