//go:build unix

package handover

import "golang.org/x/sys/unix"

func share(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }
