package inventory

import (
	"os"
	"syscall"
)

// changeTime returns the inode change time, which a writer cannot set back as
// it can the modification time.
func changeTime(info os.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Ctim.Nano()
	}
	return 0
}
