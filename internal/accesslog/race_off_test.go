//go:build !race

package accesslog

const allocsAllowed = 0
