//go:build !linux

package pool

import "errors"

// residentMemory is not known here.
func residentMemory(int) (int64, error) { return 0, errors.ErrUnsupported }

// limitsMemory says that max_memory does nothing here.
const limitsMemory = false
