package main

import "syscall"

// attached makes a child end with this process, even when that is killed. The
// terminal's Ctrl-C is for this process alone, which then stops the child.
func attached() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
}
