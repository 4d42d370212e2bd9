//go:build !linux

package main

import "syscall"

// attached has nothing to offer here: the child ends with this process unless that
// is killed hard.
func attached() *syscall.SysProcAttr { return nil }
