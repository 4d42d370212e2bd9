//go:build unix

package handover

import (
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// drained waits until no connection waits at the socket, so that the kernel has
// none to reset when the socket is closed next. Somebody else accepts meanwhile.
func drained(c syscall.Conn, limit time.Duration) {
	if c == nil {
		return
	}
	rc, err := c.SyscallConn()
	if err != nil {
		return
	}
	for end := time.Now().Add(limit); time.Now().Before(end); runtime.Gosched() {
		waiting := false
		err := rc.Control(func(fd uintptr) {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
			waiting = err == nil && n > 0
		})
		if err != nil || !waiting {
			return
		}
	}
}
