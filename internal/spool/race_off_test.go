//go:build !race

package spool

const allocsAllowed = 0
