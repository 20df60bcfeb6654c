//go:build !unix

package encode

func cpuTime() int64 { return 0 }
