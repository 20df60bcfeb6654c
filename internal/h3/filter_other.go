//go:build !linux

package h3

import "net"

func refuseNew(*net.UDPConn) bool { return false }

func takeNew(*net.UDPConn) {}
