//go:build !linux

package main

func batchThreads() {}
