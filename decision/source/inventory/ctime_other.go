//go:build !linux

package inventory

import "os"

// changeTime has no portable form; size, modification time and identity of the
// file must do.
func changeTime(os.FileInfo) int64 { return 0 }
